// The commands that take a trained model along: export and predict; app.cc says how they are
// typed. Each prints its result on standard output and returns the exit code, or an error
// (session.h).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "client/trained_model.h"

namespace mead::client {

// --- commands_export.cc ---
struct ExportOptions {
  std::string to;      // a folder, made if missing
  std::string format;  // one of ExportFormats()
  WhichEpoch epoch = WhichEpoch::kBest;
};
std::vector<std::string> ExportFormats();
[[nodiscard]] absl::StatusOr<int> Export(Session& session, const std::string& trial,
                                         const ExportOptions& options);

// --- commands_predict.cc ---
struct PredictOptions {
  std::vector<std::string> images;
  int top = 3;  // classes that the table names for each
  bool benchmark = false;  // also how many images a second it answers for
  WhichEpoch epoch = WhichEpoch::kBest;
};
[[nodiscard]] absl::StatusOr<int> PredictImages(Session& session, const std::string& trial,
                                                const PredictOptions& options);

}  // namespace mead::client
