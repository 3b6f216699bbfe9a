// SweepSpec -> the text of a sweep file, the inverse of sweep_file.h: what `submit --dry-run`
// and `describe` show can be saved and submitted again.
#pragma once

#include <string>

#include "mead/v1/sweep.pb.h"

namespace mead::client {

std::string SweepYaml(const mead::v1::SweepSpec& spec);
// The `train:` block alone, for a trial.
std::string TrainYaml(const mead::v1::TrainConfig& config);

}  // namespace mead::client
