// A confusion matrix as text: the matrix, per-class figures with their uncertainty, the
// averages by their right names, and the pairs that are taken for each other most.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/terminal.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

// Errors: INTERNAL when the counts are not [K, K].
[[nodiscard]] absl::Status PrintConfusion(const Terminal& terminal,
                                          const mead::v1::GetConfusionResponse& response);

// The matrix as a picture (heat_map.h).
// Errors: as above, and as WriteFileAtomically.
[[nodiscard]] absl::Status WriteConfusionPng(const mead::v1::GetConfusionResponse& response,
                                             const std::string& path);

}  // namespace mead::client
