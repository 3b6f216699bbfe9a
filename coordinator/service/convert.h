// Between the wire's messages (proto/mead/v1) and the core's plain data.
//
// Thread: free functions without state.
#pragma once

#include "absl/time/time.h"
#include "coordinator/core/command.h"
#include "coordinator/core/event.h"
#include "coordinator/core/spec.h"
#include "coordinator/core/state.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "mead/v1/cluster.pb.h"
#include "mead/v1/sweep.pb.h"
#include "mead/v1/worker.pb.h"

namespace mead::service {

[[nodiscard]] core::ParamValue ToCore(const v1::ParamValue& value);
[[nodiscard]] v1::ParamValue ToProto(const core::ParamValue& value);

// spec: valid, defaults filled in.
[[nodiscard]] core::SweepSpec ToCore(const v1::SweepSpec& spec);

[[nodiscard]] core::TrialRef ToCore(const v1::TrialRef& trial);
[[nodiscard]] v1::TrialRef ToProto(const core::TrialRef& trial);

// UNSPECIFIED from a member that failed counts as infrastructure: it is what
// an agent says that knows no better.
[[nodiscard]] core::FailureKind ToCore(v1::FailureKind kind);
[[nodiscard]] v1::FailureKind ToProto(core::FailureKind kind);
[[nodiscard]] v1::TrialState ToProto(core::TrialState state);
[[nodiscard]] v1::SweepState ToProto(core::SweepState state);
[[nodiscard]] v1::SlotState ToProto(core::SlotState state);

// "any", "cpu" or "gpu".
[[nodiscard]] const char* Word(core::Accelerator accelerator);
[[nodiscard]] core::Accelerator AcceleratorOf(std::string_view word);

[[nodiscard]] google::protobuf::Timestamp ToTimestamp(core::TimeMicros micros);
[[nodiscard]] core::TimeMicros ToMicros(const google::protobuf::Timestamp& time);
[[nodiscard]] google::protobuf::Duration ToProto(absl::Duration duration);

[[nodiscard]] inline bool HasEnded(core::TrialState state) {
  return state == core::TrialState::kSucceeded || state == core::TrialState::kFailed ||
         state == core::TrialState::kStopped;
}
[[nodiscard]] inline bool HasEnded(core::SweepState state) {
  return state == core::SweepState::kSucceeded || state == core::SweepState::kFailed ||
         state == core::SweepState::kStopped;
}

}  // namespace mead::service
