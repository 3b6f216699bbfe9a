// Sweeps with folds: as many trials as there are folds make one configuration, next to each other
// in the order of the sweep, so that they are scheduled together. Its score is the mean over all of
// them, and it has none before every one has succeeded: the mean of some would be compared with the
// mean of others. Without folds a configuration is one trial.
//
// Pure: everything follows from the spec and the trials.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/state.h"

namespace mead::core {

// Trials per configuration; 1 without folds.
int FoldsOf(const SweepSpec& spec);

struct FoldPlace {
  int configuration = 0;
  int fold = 0;  // both from 0
};
FoldPlace PlaceOf(const SweepSpec& spec, int trial_index);

// "<sweep id>-<configuration>", and with folds ".<fold>", from 1.
std::string TrialId(const Sweep& sweep, int trial_index);

// Those of a configuration's trials that have been made, by fold.
std::vector<const Trial*> FoldsMade(const ClusterState& state, const Sweep& sweep,
                                    int configuration);

struct ConfigurationScore {
  int succeeded = 0;  // folds that have, and have a value: a finite objective
  int failed = 0;     // folds that failed or were stopped
  double mean = 0;
  double standard_deviation = 0;  // n - 1; 0 for fewer than two
};
ConfigurationScore ScoreOf(const ClusterState& state, const Sweep& sweep, int configuration);

// The mean over its folds; nothing unless every one has succeeded.
std::optional<double> ValueOf(const ClusterState& state, const Sweep& sweep, int configuration);

// The trial has ended: its configuration may be the best now. Of the best one's folds the best is
// the sweep's best trial; ties go to the earlier. No-op without folds.
void ConsiderConfiguration(const ClusterState& state, Sweep& sweep, const Trial& trial);

// Whether the sweep has done what it was for: a trial has succeeded, with folds all those of one
// configuration.
bool HasSuccess(const ClusterState& state, const Sweep& sweep);

}  // namespace mead::core
