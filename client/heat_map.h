// A confusion matrix as a picture: darker cells hold a larger share of their true class.
//
// Thread: pure function.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/confusion_matrix.h"

namespace mead::client {

// A PNG. Counts are written into the cells where there is room; columns go by number, as in the
// table. classes: as many as the matrix has.
[[nodiscard]] absl::StatusOr<std::string> HeatMap(const ConfusionMatrix& matrix,
                                                  const std::vector<std::string>& classes,
                                                  const std::string& title);

}  // namespace mead::client
