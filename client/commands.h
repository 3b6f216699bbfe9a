// The commands; app.cc says how they are typed. Each prints its result on standard output
// and returns the exit code, or an error (session.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/evaluation.h"
#include "client/session.h"

namespace mead::client {

// --- Sweeps (commands_sweep.cc) ---
struct SubmitOptions {
  std::string file;
  std::vector<std::string> sets;
  bool dry_run = false;
  bool watch = false;
  bool wait_for_resources = false;
};
[[nodiscard]] absl::StatusOr<int> Submit(Session& session, const SubmitOptions& options);
[[nodiscard]] absl::StatusOr<int> ListSweeps(Session& session);
// id: of a sweep or a trial, or a unique prefix of one.
[[nodiscard]] absl::StatusOr<int> Describe(Session& session, const std::string& id);
[[nodiscard]] absl::StatusOr<int> Stop(Session& session, const std::string& id);

// --- A learning-rate range test (commands_lr_find.cc) ---
struct LrFindOptions {
  std::string file;  // a sweep file; empty: `trial` is one that has run
  std::vector<std::string> sets;
  // Not given: the file's train.lr_range, or its defaults.
  std::optional<double> min_lr;
  std::optional<double> max_lr;
  std::optional<int> steps;
  bool wait_for_resources = false;
  std::string trial;
  std::string csv;  // files; empty: none
  std::string png;
};
[[nodiscard]] absl::StatusOr<int> LrFind(Session& session, const LrFindOptions& options);

// --- Trials (commands_trial.cc) ---
[[nodiscard]] absl::StatusOr<int> Logs(Session& session, const std::string& trial, bool follow);
[[nodiscard]] absl::StatusOr<int> Metrics(Session& session, const std::string& trial,
                                          const std::vector<std::string>& names);
// epoch: from 1; 0 is the best one. png: a file for a heat map; empty: none.
[[nodiscard]] absl::StatusOr<int> Confusion(Session& session, const std::string& trial, int epoch, bool pooled,
                                            const std::string& png);

// --- Predictions (commands_evaluation.cc) ---
struct TopLossesOptions {
  int count = 20;
  WhichEpoch epoch = WhichEpoch::kBest;
  std::string to;    // a folder for the pictures; empty: none are fetched
  std::string html;  // a page with thumbnails; empty: none
};
[[nodiscard]] absl::StatusOr<int> TopLosses(Session& session, const std::string& trial,
                                            const TopLossesOptions& options);
struct PrecisionRecallOptions {
  std::string class_name;
  WhichEpoch epoch = WhichEpoch::kBest;
  std::string csv;  // a file; empty: none
};
[[nodiscard]] absl::StatusOr<int> PrecisionRecall(Session& session, const std::string& trial,
                                                  const PrecisionRecallOptions& options);

// --- Data sets (commands_dataset.cc) ---
struct AddDatasetOptions {
  std::string name;
  std::string path;
  double val_fraction = 0.2;
  uint64_t seed = 1;
  // The path lies on the coordinator's disk.
  bool on_server = false;
  // dataset::BuildOptions says what these do.
  bool no_leakage_guard = false;
  bool drop_straddling = false;
  std::string group_by;
};
[[nodiscard]] absl::StatusOr<int> AddDataset(Session& session, const AddDatasetOptions& options);
struct SynthDatasetOptions {
  std::string name;
  int images_per_class = 100;
  int size = 256;
  uint64_t seed = 1;
  double val_fraction = 0.2;
};
[[nodiscard]] absl::StatusOr<int> SynthDataset(Session& session,
                                               const SynthDatasetOptions& options);
[[nodiscard]] absl::StatusOr<int> ListDatasets(Session& session);
[[nodiscard]] absl::StatusOr<int> DescribeDataset(Session& session, const std::string& name);
[[nodiscard]] absl::StatusOr<int> VerifyDataset(Session& session, const std::string& name);
[[nodiscard]] absl::StatusOr<int> RemoveDataset(Session& session, const std::string& name);

// --- A data set as a trainer sees it (commands_dataset_show.cc) ---
struct ShowDatasetOptions {
  std::string name;
  std::string path;  // of a folder on this machine, instead of a name
  std::string augment;
  std::string sweep;
  std::optional<int> size;  // not given: the sweep's image_size; likewise the seed
  std::optional<uint64_t> seed;
  int count = 7;     // augmented pictures of each
  int pictures = 6;  // rows
  int epoch = 1;     // of the first augmented one
  std::string class_name;
  std::string png;
};
[[nodiscard]] absl::StatusOr<int> ShowDataset(Session& session, const ShowDatasetOptions& options);

// --- The cluster and the client itself (commands_cluster.cc) ---
[[nodiscard]] absl::StatusOr<int> ShowStatus(Session& session);
[[nodiscard]] absl::StatusOr<int> ListNodes(Session& session);
[[nodiscard]] absl::StatusOr<int> DescribeNode(Session& session, const std::string& id);
[[nodiscard]] absl::StatusOr<int> ListContexts(Session& session);
[[nodiscard]] absl::StatusOr<int> UseContext(Session& session, const std::string& name);
// http: of the status page; may be empty. Selects the context, too.
[[nodiscard]] absl::StatusOr<int> AddContext(Session& session, const std::string& name,
                                             const std::string& server, const std::string& http);
[[nodiscard]] absl::StatusOr<int> RemoveContext(Session& session, const std::string& name);
[[nodiscard]] absl::StatusOr<int> ShowVersion(Session& session);

// --- A cluster on this machine (commands_local.cc) ---
struct LocalUpOptions {
  std::string dir;  // empty: the default
  // 0: two workers of one slot; on a machine with GPUs one worker with a slot per GPU.
  int workers = 0;
  int slots = 0;
  int port = 7070;
  int http_port = 7071;
  std::string accelerator;  // empty: the worker's default
  bool detach = false;
  int timeout_s = 60;
};
[[nodiscard]] absl::StatusOr<int> LocalUp(Session& session, const LocalUpOptions& options);
[[nodiscard]] absl::StatusOr<int> LocalDown(Session& session, const std::string& dir);
[[nodiscard]] absl::StatusOr<int> LocalStatus(Session& session, const std::string& dir);

}  // namespace mead::client
