// Data sets at rest: manifests and shards in the artefact store, names in the journal.
//
// Thread: every method may be called from any thread that may wait for the disk.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"
#include "coordinator/service/context.h"
#include "mead/v1/dataset.pb.h"

namespace mead::service {

class DatasetRegistry {
 public:
  explicit DatasetRegistry(ServiceContext& context) : context_(context) {}

  // The event that registers the data set, once its manifest and shards have
  // been looked at.
  // Errors: of CreateDataset.
  [[nodiscard]] absl::StatusOr<core::DatasetCreated> Prepare(const std::string& name,
                                                             const std::string& manifest_digest);

  using Done = std::function<void(const absl::StatusOr<v1::Dataset>&)>;
  // Prepares and posts; `done` comes on the core thread or before this returns.
  void Create(const std::string& name, const std::string& manifest_digest, Done done);

  // Builds a data set from a folder or archive on this machine and stores its
  // shards. Returns the manifest's digest.
  // Errors: of ImportDataset.
  using Progress = std::function<void(std::string_view phase, uint64_t done, uint64_t total)>;
  [[nodiscard]] absl::StatusOr<std::string> Build(const v1::ImportDatasetRequest& request,
                                                  Progress progress);

  // Errors: of VerifyDataset; CANCELLED when `cancelled` says so.
  [[nodiscard]] absl::StatusOr<v1::VerifyDatasetResponse> Verify(
      std::string_view name, const std::function<bool()>& cancelled);

  // Removes the files that only this (deleted) data set has named.
  void RemoveFiles(const std::string& manifest_digest);

 private:
  ServiceContext& context_;
};

}  // namespace mead::service
