// What a sweep asks for, as the core needs it.
//
// The training configuration is opaque here: the shell applies a trial's
// parameters to it when it sends an Assign. Only what scheduling and search
// depend on is spelled out.
//
// Source: the validated SweepSpec of proto/mead/v1/sweep.proto.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace mead::core {

using ParamValue = std::variant<double, int64_t, std::string, bool>;

struct Param {
  std::string path;  // into the training configuration, e.g. "optimizer.lr"
  ParamValue value;
  bool operator==(const Param&) const = default;
};

struct UniformRange {
  double low = 0;
  double high = 0;
  double step = 0;  // 0: continuous
  bool operator==(const UniformRange&) const = default;
};
struct LogUniformRange {
  double low = 0;
  double high = 0;
  bool operator==(const LogUniformRange&) const = default;
};
struct IntRange {
  int64_t low = 0;
  int64_t high = 0;
  int64_t step = 1;
  bool operator==(const IntRange&) const = default;
};
struct Choice {
  std::vector<ParamValue> values;
  bool operator==(const Choice&) const = default;
};

struct Dimension {
  std::string path;
  std::variant<UniformRange, LogUniformRange, IntRange, Choice> range;
  bool operator==(const Dimension&) const = default;
};

enum class SearchMethod { kGrid, kRandom };
enum class Goal { kMaximize, kMinimize };
inline bool IsBetter(Goal goal, double value, double than) {
  return goal == Goal::kMaximize ? value > than : value < than;
}
enum class Accelerator { kAny, kCpu, kGpu };

// Restarts allowed after each kind of failure; kUnlimited never runs out.
struct RetryBudget {
  static constexpr int kUnlimited = -1;
  int user_error = 0;
  int out_of_memory = 1;
  int infrastructure = 10;
  bool operator==(const RetryBudget&) const = default;
};

struct SweepSpec {
  std::string name;
  std::string dataset;
  std::string objective_metric;
  Goal goal = Goal::kMaximize;
  SearchMethod method = SearchMethod::kRandom;
  int trials = 1;    // configurations; grid: 0 means every point
  int parallel = 0;  // 0: as many as fit
  uint64_t search_seed = 0;
  int ranks = 1;
  Accelerator accelerator = Accelerator::kAny;
  RetryBudget retry;
  int epochs = 1;
  // Checkpoints that a trial keeps: of its best epochs, and its last ones. At least 1 each.
  int keep_best = 1;
  int keep_latest = 1;
  // Training pictures of each fold that every configuration is trained on; empty: no folds.
  std::vector<uint64_t> fold_train_samples;
  std::vector<Dimension> space;
  // The whole validated proto (serialised), returned to users and applied by
  // the shell; the core never looks inside.
  std::string encoded;
  bool operator==(const SweepSpec&) const = default;
};

}  // namespace mead::core
