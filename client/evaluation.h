// What a trial's model said about the validation pictures, and those pictures themselves.
//
// Errors: as the coordinator's; FAILED_PRECONDITION in words where a trial has no predictions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/session.h"
#include "client/which_epoch.h"
#include "common/dataset/manifest.h"
#include "common/results/predictions.h"

namespace mead::client {

// trial: an id or a unique prefix; a sweep's means its best trial.
[[nodiscard]] absl::StatusOr<results::Predictions> FetchPredictions(Session& session,
                                                                    const std::string& trial,
                                                                    WhichEpoch which);

// Takes single pictures out of a data set's shards at the coordinator.
class PictureSource {
 public:
  // The manifest stays at the coordinator as long as the data set does.
  // Errors: FAILED_PRECONDITION (the data set was removed).
  [[nodiscard]] static absl::StatusOr<PictureSource> Open(Connection& connection,
                                                          const std::string& manifest_digest);

  // The picture's file, byte for byte. key: as in Predictions::keys.
  // Errors: NOT_FOUND (no such picture), DATA_LOSS (not the bytes that were added).
  [[nodiscard]] absl::StatusOr<std::string> Fetch(const std::string& key) const;

 private:
  PictureSource(Connection& connection, dataset::Manifest manifest)
      : connection_(&connection), manifest_(std::move(manifest)) {}

  Connection* connection_;
  dataset::Manifest manifest_;
};

}  // namespace mead::client
