// The tensors of a trial's model, one at a time, out of its checkpoint at the coordinator.
// What the optimizer keeps stays there. Where the trial averaged its weights, these are the
// averages: evaluation used them, so they are what the trial's figures belong to.
//
// Thread: one at a time.
// Errors: as download.h; INVALID_ARGUMENT (it is no checkpoint).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/connection.h"
#include "common/results/tensor_file.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

class ModelFile {
 public:
  struct Entry {
    std::string name;        // torchvision's
    results::Tensor tensor;  // and where it lies in the checkpoint
  };

  [[nodiscard]] static absl::StatusOr<ModelFile> Open(Connection& connection,
                                                      const mead::v1::Checkpoint& checkpoint);

  // By name.
  const std::vector<Entry>& tensors() const { return tensors_; }
  bool averaged() const { return averaged_; }
  // The bytes of a tensor, row-major, little-endian.
  [[nodiscard]] absl::StatusOr<std::string> Read(const Entry& entry) const;

 private:
  ModelFile(Connection& connection, std::string digest)
      : connection_(&connection), digest_(std::move(digest)) {}

  Connection* connection_;
  std::string digest_;
  std::vector<Entry> tensors_;
  bool averaged_ = false;
};

}  // namespace mead::client
