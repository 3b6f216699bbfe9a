// What a trial says, and how the data plane's errors go on.
//
// Thread: any.
#pragma once

#include <iostream>
#include <string>

#include "absl/status/statusor.h"
#include "worker/train/errors.h"

namespace mead::trainer {

// A line for the trial's log; the agent sends standard error on.
inline void Say(const std::string& line) { std::cerr << line + "\n"; }

// The data plane reports by Status; in the trainer one exception type carries everything.
// Errors: TrainError, kUserError for what the data set's owner can mend, else kInternal.
template <class T>
T OrThrow(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  const bool users = result.status().code() == absl::StatusCode::kInvalidArgument ||
                     result.status().code() == absl::StatusCode::kDataLoss;
  throw train::TrainError(users ? train::ErrorKind::kUserError : train::ErrorKind::kInternal,
                          std::string(result.status().message()));
}
inline void OrThrow(const absl::Status& status) {
  if (!status.ok()) OrThrow(absl::StatusOr<int>(status));
}

}  // namespace mead::trainer
