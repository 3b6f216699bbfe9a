#include "bench/step_profile_sides/operator_times.h"

#include <ATen/record_function.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace mead::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Totals = std::unordered_map<std::string, OperatorTotals>;

// The callbacks are plain functions, so what they fill cannot belong to an object. Each thread
// fills a table of its own; the list outlives the threads.
struct Tables {
  std::mutex mutex;
  std::vector<std::shared_ptr<Totals>> of_threads;  // guarded by mutex
};

Tables& AllTables() {
  static Tables tables;
  return tables;
}

// An operator that runs now.
struct Frame : at::ObserverContext {
  explicit Frame(Frame* enclosing) : parent(enclosing) {}
  Frame* const parent;
  const SteadyClock::time_point start = SteadyClock::now();
  std::chrono::duration<double, std::micro> inside{0};  // the time of what it called
};

thread_local Frame* innermost = nullptr;

Totals& TableOfThisThread() {
  thread_local const std::shared_ptr<Totals> table = [] {
    auto made = std::make_shared<Totals>();
    Tables& all = AllTables();
    const std::lock_guard lock(all.mutex);
    all.of_threads.push_back(made);
    return made;
  }();
  return *table;
}

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& function) {
  // One that may end on another thread would break the nesting.
  if (function.isAsync()) return nullptr;
  auto frame = std::make_unique<Frame>(innermost);
  innermost = frame.get();
  return frame;
}

void OnEnd(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* frame = static_cast<Frame*>(context);
  if (frame == nullptr || frame != innermost) return;
  const std::chrono::duration<double, std::micro> took = SteadyClock::now() - frame->start;
  innermost = frame->parent;
  if (frame->parent != nullptr) frame->parent->inside += took;
  OperatorTotals& totals = TableOfThisThread()[function.name()];
  ++totals.calls;
  totals.self_us += (took - frame->inside).count();
}

at::CallbackHandle handle = 0;

}  // namespace

void OperatorTimes::Start() {
  handle = at::addGlobalCallback(
      at::RecordFunctionCallback(OnStart, OnEnd)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
                   at::RecordScope::USER_SCOPE}));
}

std::map<std::string, OperatorTotals> OperatorTimes::Stop() {
  at::removeCallback(handle);
  std::map<std::string, OperatorTotals> all;
  Tables& tables = AllTables();
  const std::lock_guard lock(tables.mutex);
  for (const auto& table : tables.of_threads) {
    for (const auto& [name, totals] : *table) {
      all[name].calls += totals.calls;
      all[name].self_us += totals.self_us;
    }
    table->clear();
  }
  return all;
}

}  // namespace mead::bench
