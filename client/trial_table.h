// A sweep and its trials as text; what describe, watch and the summary share.
#pragma once

#include <string>
#include <vector>

#include "client/table.h"
#include "client/terminal.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

using Trials = google::protobuf::RepeatedPtrField<mead::v1::Trial>;

// One row per trial: state, epoch, images/s, loss, accuracy, best, ETA, parameters.
Table TrialTable(const mead::v1::Sweep& sweep, const std::vector<const mead::v1::Trial*>& trials);
Table TrialTable(const mead::v1::Sweep& sweep, const Trials& trials);

// "sweep abc (demo): running, 1 of 4 trials done, 2 running, 1 queued".
std::string SweepLine(const Terminal& terminal, const mead::v1::Sweep& sweep);

// One trial in one line for a pipe: "abc-0  running  epoch 2/5  train 120/400  ...".
std::string TrialLine(const mead::v1::Trial& trial);

// The end of a watch: table, best trial, what failed and why, where to look next. With folds the
// configurations come first, and how they compare last.
void PrintSummary(
    const Terminal& terminal, const mead::v1::Sweep& sweep, const Trials& trials,
    const google::protobuf::RepeatedPtrField<mead::v1::Configuration>& configurations);

}  // namespace mead::client
