// A confusion matrix as text: the matrix, per-class figures with their uncertainty, the
// averages by their right names, and the pairs that are taken for each other most.
#pragma once

#include "absl/status/status.h"
#include "client/terminal.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

// Errors: INTERNAL when the counts are not [K, K].
[[nodiscard]] absl::Status PrintConfusion(const Terminal& terminal,
                                          const mead::v1::GetConfusionResponse& response);

}  // namespace mead::client
