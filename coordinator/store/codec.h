// The core's plain data <-> the journal's records (proto/mead/v1/journal.proto).
//
// Deterministic: equal values give equal bytes, so two states can be compared by
// their encodings.
// Errors: DATA_LOSS (not such a record), FAILED_PRECONDITION (a record or value
//   that only a newer version knows).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

namespace mead::store {

[[nodiscard]] std::string EncodeEvent(const core::Event& event);
[[nodiscard]] absl::StatusOr<core::Event> DecodeEvent(std::string_view bytes);

[[nodiscard]] std::string EncodeState(const core::ClusterState& state);
[[nodiscard]] absl::StatusOr<core::ClusterState> DecodeState(std::string_view bytes);

}  // namespace mead::store
