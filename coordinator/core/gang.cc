#include "coordinator/core/gang.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>

namespace mead::core {
namespace {

std::vector<Accelerator> KindsOf(Accelerator accelerator) {
  if (accelerator != Accelerator::kAny) return {accelerator};
  return {Accelerator::kGpu, Accelerator::kCpu};  // the faster first
}

std::optional<std::vector<SlotRef>> PlaceOn(const ClusterState& state,
                                            const std::vector<SlotRef>& available, size_t ranks,
                                            Accelerator kind) {
  std::map<std::string, std::vector<SlotRef>> by_worker;
  size_t total = 0;
  for (const SlotRef& slot : available) {
    if (state.workers.at(slot.worker_id).accelerator != kind) continue;
    by_worker[slot.worker_id].push_back(slot);
    ++total;
  }
  if (total < ranks) return std::nullopt;

  std::vector<const std::vector<SlotRef>*> workers;
  workers.reserve(by_worker.size());
  for (const auto& [id, slots] : by_worker) workers.push_back(&slots);
  // One worker, the tightest fit, if there is one; else the emptiest first. Stable,
  // so equal ones stay in the order of their ids.
  const auto size = [](const std::vector<SlotRef>* slots) { return slots->size(); };
  std::ranges::stable_sort(workers, {}, size);
  const auto fit = std::ranges::lower_bound(workers, ranks, {}, size);
  if (fit != workers.end())
    return std::vector((*fit)->begin(), (*fit)->begin() + static_cast<int64_t>(ranks));
  std::ranges::stable_sort(workers, std::greater<>(), size);

  std::vector<SlotRef> gang;
  for (const auto* slots : workers) {
    for (const SlotRef& slot : *slots) {
      if (gang.size() < ranks) gang.push_back(slot);
    }
  }
  return gang;
}

}  // namespace

int SlotsFor(const ClusterState& state, Accelerator accelerator) {
  int most = 0;
  for (Accelerator kind : KindsOf(accelerator)) {
    size_t slots = 0;
    for (const auto& [id, worker] : state.workers) {
      if (!worker.lost && !worker.draining && worker.accelerator == kind)
        slots += worker.slots.size();
    }
    most = std::max(most, static_cast<int>(slots));
  }
  return most;
}

std::optional<std::vector<SlotRef>> PlaceGang(const ClusterState& state,
                                              const std::vector<SlotRef>& available, int ranks,
                                              Accelerator accelerator) {
  for (Accelerator kind : KindsOf(accelerator)) {
    auto gang = PlaceOn(state, available, static_cast<size_t>(std::max(ranks, 1)), kind);
    if (gang) return gang;
  }
  return std::nullopt;
}

}  // namespace mead::core
