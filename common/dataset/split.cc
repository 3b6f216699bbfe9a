#include "common/dataset/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/dataset/disjoint_sets.h"
#include "common/dataset/group_by.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

using Count = int64_t;
using Counts = std::map<uint32_t, Count>;  // class id -> pictures

// Pictures that go to one side together.
struct Unit {
  std::vector<size_t> members;
  Counts counts;
  std::string digest;  // the smallest of its members'
  uint64_t order = 0;
  bool contradictory = false;  // one of its pictures is in several classes
  Count size() const { return static_cast<Count>(members.size()); }
};

// In seeded order.
std::vector<Unit> UnitsOf(std::span<const SplitItem> items, uint64_t seed) {
  DisjointSets sets(items.size());
  std::unordered_map<std::string_view, size_t> first_copy;
  std::map<std::pair<size_t, uint32_t>, size_t> first_in_group;
  std::vector<char> contradicted(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const auto [copy, is_new] = first_copy.emplace(items[i].digest, i);
    sets.Join(i, copy->second);
    if (items[copy->second].class_id != items[i].class_id) contradicted[i] = 1;
    for (size_t kind = 0; kind < items[i].groups.size(); ++kind) {
      const uint32_t group = items[i].groups[kind];
      if (group != 0) sets.Join(i, first_in_group.emplace(std::pair(kind, group), i).first->second);
    }
  }
  std::map<size_t, Unit> by_root;
  for (size_t i = 0; i < items.size(); ++i) {
    Unit& unit = by_root[sets.Find(i)];
    if (unit.members.empty() || items[i].digest < unit.digest) unit.digest = items[i].digest;
    unit.members.push_back(i);
    ++unit.counts[items[i].class_id];
    unit.contradictory |= contradicted[i] != 0;
  }
  std::vector<Unit> units;
  units.reserve(by_root.size());
  for (auto& [root, unit] : by_root) {
    unit.order = SeededOrder(unit.digest, seed);
    units.push_back(std::move(unit));
  }
  std::sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.order, a.digest) < std::tie(b.order, b.digest);
  });
  return units;
}

// How many pictures of each class are evaluated, and how many should be.
class Balance {
 public:
  Balance(std::span<const SplitItem> items, double val_fraction) {
    for (const SplitItem& item : items) ++all_[item.class_id];
    for (const auto& [class_id, count] : all_) {
      const double share = std::round(val_fraction * static_cast<double>(count));
      target_[class_id] = std::max<Count>(1, static_cast<Count>(share));
    }
  }

  Count taken(uint32_t class_id) const {
    const auto it = taken_.find(class_id);
    return it == taken_.end() ? 0 : it->second;
  }
  void Take(const Unit& unit) {
    for (const auto& [class_id, count] : unit.counts) taken_[class_id] += count;
  }
  // The last picture of a class is for training.
  bool LeavesSome(const Unit& unit) const {
    return std::all_of(unit.counts.begin(), unit.counts.end(), [&](const auto& entry) {
      return taken(entry.first) + entry.second < all_.at(entry.first);
    });
  }
  bool Fits(const Unit& unit) const {
    return std::all_of(unit.counts.begin(), unit.counts.end(), [&](const auto& entry) {
      return taken(entry.first) + entry.second <= target_.at(entry.first);
    });
  }
  // By how many pictures the counts come nearer to their targets (negative: away from them).
  Count Gain(const Unit& unit) const {
    Count gain = 0;
    for (const auto& [class_id, count] : unit.counts) {
      const Count missing = target_.at(class_id) - taken(class_id);
      gain += std::abs(missing) - std::abs(missing - count);
    }
    return gain;
  }

 private:
  Counts all_, target_, taken_;
};

}  // namespace

uint64_t SeededOrder(const std::string& digest, uint64_t seed) {
  // 64 of the picture's 256 bits: enough to order by.
  const std::string prefix(DigestHex(digest).substr(0, 16));
  return Rng::ForKey(seed, std::stoull(prefix, nullptr, 16)).NextUint64();
}

absl::StatusOr<std::vector<SplitItem>> SplitItemsOf(std::span<const Sample* const> samples,
                                                    const std::string& group_by) {
  std::vector<SplitItem> items;
  std::vector<std::string> keys;
  for (const Sample* sample : samples) {
    items.push_back(
        {.class_id = sample->class_id, .digest = sample->digest, .groups = {sample->group, 0}});
    keys.push_back(sample->key);
  }
  if (group_by.empty()) return items;
  MEAD_ASSIGN_OR_RETURN(const std::vector<uint32_t> groups, GroupByPattern(keys, group_by));
  for (size_t i = 0; i < items.size(); ++i) items[i].groups[1] = groups[i];
  return items;
}

std::vector<Split> StratifiedSplit(std::span<const SplitItem> items, double val_fraction,
                                   uint64_t seed) {
  const std::vector<Unit> units = UnitsOf(items, seed);
  Balance balance(items, val_fraction);
  std::vector<Split> splits(items.size(), Split::kTrain);
  const auto take = [&](const Unit& unit) {
    balance.Take(unit);
    for (size_t member : unit.members) splits[member] = Split::kVal;
  };
  std::map<uint32_t, std::vector<const Unit*>> left;  // by class
  for (const Unit& unit : units) {
    if (unit.contradictory) continue;
    if (balance.Fits(unit) && balance.LeavesSome(unit)) {
      take(unit);
    } else {
      for (const auto& [class_id, count] : unit.counts) left[class_id].push_back(&unit);
    }
  }
  // What is left is too large for what its classes miss. One more unit per class may still bring it
  // nearer, and a class with none takes what does least harm.
  for (const auto& [class_id, candidates] : left) {
    const Unit* best = nullptr;
    for (const Unit* unit : candidates) {
      if (splits[unit->members[0]] == Split::kVal || !balance.LeavesSome(*unit)) continue;
      if (best == nullptr || balance.Gain(*unit) > balance.Gain(*best)) best = unit;
    }
    if (best != nullptr && (balance.Gain(*best) > 0 || balance.taken(class_id) == 0)) take(*best);
  }
  return splits;
}

absl::StatusOr<std::vector<uint32_t>> StratifiedFolds(std::span<const SplitItem> items,
                                                      uint32_t folds, uint64_t seed) {
  std::vector<Unit> units = UnitsOf(items, seed);
  if (folds < 2 || folds > units.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(folds, " folds: expected 2 to ", units.size(),
                     ", the number of pictures, or groups of them, that may be apart"));
  }
  // Large units first: small ones even out what those leave uneven.
  std::stable_sort(units.begin(), units.end(),
                   [](const Unit& a, const Unit& b) { return a.size() > b.size(); });
  Counts all;
  for (const SplitItem& item : items) ++all[item.class_id];
  std::vector<Counts> held(folds);
  std::vector<Count> sizes(folds);
  std::vector<uint32_t> fold_of(items.size());
  for (const Unit& unit : units) {
    // The fold that has least of the unit's classes, then the smallest, then the first.
    using Fullness = std::tuple<double, Count, uint32_t>;
    Fullness least;
    for (uint32_t fold = 0; fold < folds; ++fold) {
      double share = 0;
      for (const auto& [class_id, count] : unit.counts) {
        share +=
            static_cast<double>(count * held[fold][class_id]) / static_cast<double>(all[class_id]);
      }
      const Fullness fullness = {share, sizes[fold], fold};
      if (fold == 0 || fullness < least) least = fullness;
    }
    const uint32_t chosen = std::get<2>(least);
    for (const auto& [class_id, count] : unit.counts) held[chosen][class_id] += count;
    sizes[chosen] += unit.size();
    for (size_t member : unit.members) fold_of[member] = chosen;
  }
  return fold_of;
}

}  // namespace mead::dataset
