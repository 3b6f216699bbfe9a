// A trial's model as other programs want it: its weights, and what its outputs are called.
//
// Thread: one at a time.
// Errors: the coordinator's; FAILED_PRECONDITION in words where there is no checkpoint.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/model_file.h"
#include "client/session.h"
#include "client/which_epoch.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

class TrainedModel {
 public:
  // trial: an id or a unique prefix; a sweep's means its best trial.
  [[nodiscard]] static absl::StatusOr<TrainedModel> Find(Session& session, const std::string& trial,
                                                         WhichEpoch which);

  const mead::v1::GetTrialResponse& trial() const { return trial_; }
  const mead::v1::Checkpoint& checkpoint() const { return checkpoint_; }
  // In label order.
  const std::vector<std::string>& classes() const { return classes_; }
  // Of the checkpoint's epoch, by name.
  const google::protobuf::Map<std::string, double>& metrics() const { return confusion_.metrics(); }
  const ModelFile& file() const { return file_; }
  // Side of the pictures that the checkpoint's epoch was evaluated with, pixels.
  int image_size() const;

  [[nodiscard]] absl::Status WriteSafetensors(const std::filesystem::path& path) const;

 private:
  TrainedModel(mead::v1::GetTrialResponse trial, mead::v1::Checkpoint checkpoint,
               mead::v1::GetConfusionResponse confusion, ModelFile file)
      : trial_(std::move(trial)),
        checkpoint_(std::move(checkpoint)),
        confusion_(std::move(confusion)),
        classes_(confusion_.confusion().classes().begin(), confusion_.confusion().classes().end()),
        file_(std::move(file)) {}

  mead::v1::GetTrialResponse trial_;
  mead::v1::Checkpoint checkpoint_;
  mead::v1::GetConfusionResponse confusion_;
  std::vector<std::string> classes_;
  ModelFile file_;
};

}  // namespace mead::client
