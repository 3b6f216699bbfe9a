#include "common/grpc_status.h"

#include <gtest/gtest.h>

#include <string>

namespace mead {
namespace {

TEST(GrpcStatus, GoesThereAndBackWithCodeMessageAndDetails) {
  for (int code = 0; code <= 16; ++code) {
    absl::Status status(static_cast<absl::StatusCode>(code), "words");
    if (!status.ok()) status.SetPayload(kStatusDetailsUrl, absl::Cord(std::string("\0report", 7)));
    const grpc::Status wire = ToGrpc(status);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    EXPECT_EQ(FromGrpc(wire), status);
  }
}

TEST(GrpcStatus, WithoutDetailsHasNoPayload) {
  const absl::Status status = FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "none"));
  EXPECT_EQ(status, absl::NotFoundError("none"));
}

}  // namespace
}  // namespace mead
