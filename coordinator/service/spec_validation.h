// Judges a sweep's specification: every violation at once, each with the path of
// its field as the sweep file spells it and a message that says what would do.
//
// Thread: free functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "mead/v1/dataset.pb.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// The most trials that one sweep may have.
inline constexpr int kMaxTrials = 10'000;

// spec: with its defaults filled in. dataset: the data set that it names, for
// the class names in its objective; nullptr if there is none.
[[nodiscard]] std::vector<v1::Violation> ValidateSpec(const v1::SweepSpec& spec,
                                                      const v1::Dataset* dataset);

// Points of a grid; at most kMaxTrials + 1.
[[nodiscard]] int GridPoints(const v1::SweepSpec& spec);

// INVALID_ARGUMENT that lists the violations in words and carries them as a
// serialised ValidationReport (payload kStatusDetailsUrl: gRPC's error details).
[[nodiscard]] absl::Status ViolationsError(std::vector<v1::Violation> violations);

}  // namespace mead::service
