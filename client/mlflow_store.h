// One trial in the folders that MLflow's file store reads: an experiment per sweep, a run per
// trial. Names follow from the ids, so that a trial written again takes the place of what was
// there.
//
// Format: ROOT/<experiment>/meta.yaml, and in ROOT/<experiment>/<run>/ meta.yaml, params/KEY with
//   the value, metrics/KEY with lines "<milliseconds> <value> <step>", tags/KEY, artifacts/.
// Source: mlflow/store/tracking/file_store.py of MLflow 3.17 and what it accepts as names
//   (mlflow/utils/validation.py).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

// A metric's or parameter's name as MLflow takes it and a file system keeps it: other characters
// than letters, digits and _ - . : / blank become _, as do slashes in a class's name and what would
// lead out of the folder.
std::string MlflowName(const std::string& name);

// root: made if missing. artifact: the text of the run's artifacts/trial.json. Returns the run's
// folder, relative to root.
// Errors: as of writing files.
[[nodiscard]] absl::StatusOr<std::string> WriteMlflowRun(
    const std::string& root, const mead::v1::GetTrialResponse& trial,
    const mead::v1::GetMetricsResponse& metrics, const std::string& artifact);

}  // namespace mead::client
