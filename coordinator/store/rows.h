// What workers report beside events: figures and text that no decision of the
// core depends on. They go to tables, in the transaction of the events that
// they came with, and are never replayed.
//
// Units: time_micros is microseconds since the Unix epoch.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mead::store {

// One figure. A trial that resumes from a checkpoint reports some epochs again:
// the later value of (trial, name, epoch, step) replaces the earlier.
struct MetricRow {
  std::string trial_id;
  int attempt = 0;
  int epoch = 0;
  int64_t step = 0;
  int64_t time_micros = 0;
  std::string name;
  double value = 0;
  bool operator==(const MetricRow&) const = default;
};

// One per (trial, epoch); the later replaces the earlier.
struct ConfusionRow {
  std::string trial_id;
  int attempt = 0;
  int epoch = 0;
  std::vector<std::string> classes = {};
  std::vector<int64_t> counts = {};  // [K, K], row-major, row = true class
  bool operator==(const ConfusionRow&) const = default;
};

struct LogRow {
  std::string trial_id;
  int attempt = 0;
  int rank = 0;
  int64_t time_micros = 0;
  std::string text;
  // Given by the store, ascending in the order of arrival; ignored on the way in.
  int64_t id = 0;
  bool operator==(const LogRow&) const = default;
};

struct Rows {
  std::vector<MetricRow> metrics;
  std::vector<ConfusionRow> confusion;
  std::vector<LogRow> logs;

  bool empty() const { return metrics.empty() && confusion.empty() && logs.empty(); }
  void Append(Rows&& other) {
    Move(other.metrics, metrics);
    Move(other.confusion, confusion);
    Move(other.logs, logs);
  }

 private:
  template <class T>
  static void Move(std::vector<T>& from, std::vector<T>& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  }
};

// Agent instance -> the highest report sequence that is durable.
using Cursors = std::map<std::string, uint64_t>;

}  // namespace mead::store
