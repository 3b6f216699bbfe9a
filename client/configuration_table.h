// The configurations of a sweep with folds as text, and how sure their order is.
#pragma once

#include <string>

#include "client/table.h"
#include "client/terminal.h"
#include "client/trial_table.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

using Configurations = google::protobuf::RepeatedPtrField<mead::v1::Configuration>;

// One row per configuration: state, folds done, mean, standard deviation and error, parameters.
Table ConfigurationTable(const mead::v1::Sweep& sweep, const Configurations& configurations);

// One configuration in one line for a pipe: "configuration 1  succeeded  val/accuracy 0.9123 +-
// 0.0041 over 5 folds".
std::string ConfigurationLine(const mead::v1::Sweep& sweep,
                              const mead::v1::Configuration& configuration);

// The best configuration against the next ones, fold by fold, with intervals; nothing before two
// are whole.
void PrintComparisons(const Terminal& terminal, const mead::v1::Sweep& sweep,
                      const Configurations& configurations, const Trials& trials);

}  // namespace mead::client
