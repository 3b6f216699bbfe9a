// Figures and states in words.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "client/table.h"
#include "mead/v1/cluster.pb.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

// "42 s", "3 min 5 s", "2 h 10 min", "4 d 3 h".
std::string HumanDuration(absl::Duration duration);
// "1.4 GiB".
std::string HumanBytes(uint64_t bytes);
// Local time, "2026-03-01 14:05:09"; empty for an unset one.
std::string HumanTime(const google::protobuf::Timestamp& time);
// Four significant digits; "0.9213", "1e-05".
std::string Number(double value);
// A share with one decimal, "92.1 %".
std::string Percent(double share);

// "running", coloured by how it goes.
Cell StateCell(mead::v1::SweepState state);
Cell StateCell(mead::v1::TrialState state);
std::string StateName(mead::v1::SlotState state);

std::string ParamText(const mead::v1::ParamValue& value);
// "optimizer.lr=0.01 batch_size=64", paths shortened to their last key where that is
// unambiguous within the trial.
std::string ParamsText(const google::protobuf::RepeatedPtrField<mead::v1::Param>& params);

bool HasEnded(mead::v1::SweepState state);
bool HasEnded(mead::v1::TrialState state);

}  // namespace mead::client
