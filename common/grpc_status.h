// absl::Status <-> grpc::Status. The codes are the same numbers.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace mead {

// The payload of an absl::Status that travels as gRPC's error details (a
// serialised ValidationReport, say).
inline constexpr char kStatusDetailsUrl[] = "mead.v1/details";

[[nodiscard]] absl::Status FromGrpc(const grpc::Status& status);
[[nodiscard]] grpc::Status ToGrpc(const absl::Status& status);

}  // namespace mead
