#include "common/dataset/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "common/base/rng.h"
#include "common/sha256.h"

namespace mead::dataset {

uint64_t SeededOrder(const std::string& digest, uint64_t seed) {
  // 64 of the picture's 256 bits: enough to order by.
  const std::string prefix(DigestHex(digest).substr(0, 16));
  return Rng::ForKey(seed, std::stoull(prefix, nullptr, 16)).NextUint64();
}

std::vector<Split> StratifiedSplit(std::span<const SplitItem> items, double val_fraction,
                                   uint64_t seed) {
  struct Group {  // one picture and its copies
    std::vector<size_t> members;
    bool one_class = true;
  };
  std::map<std::string, Group> groups;
  for (size_t i = 0; i < items.size(); ++i) {
    Group& group = groups[items[i].digest];
    if (!group.members.empty()) {
      group.one_class &= items[group.members[0]].class_id == items[i].class_id;
    }
    group.members.push_back(i);
  }

  // Per class: its pictures in seeded order, and how many files it has.
  using Ordered = std::tuple<uint64_t, std::string, const Group*>;
  std::map<uint32_t, std::vector<Ordered>> by_class;
  std::map<uint32_t, size_t> files;
  for (const SplitItem& item : items) ++files[item.class_id];
  for (const auto& [digest, group] : groups) {
    if (!group.one_class) continue;
    by_class[items[group.members[0]].class_id].emplace_back(SeededOrder(digest, seed), digest,
                                                            &group);
  }

  std::vector<Split> splits(items.size(), Split::kTrain);
  for (auto& [class_id, ordered] : by_class) {
    std::sort(ordered.begin(), ordered.end());
    const auto target = static_cast<size_t>(
        std::max(1.0, std::round(val_fraction * static_cast<double>(files[class_id]))));
    size_t taken = 0;
    for (size_t g = 0; g < ordered.size() && taken < target; ++g) {
      const Group& group = *std::get<2>(ordered[g]);
      // The last picture is for training.
      if (taken + group.members.size() >= files[class_id]) continue;
      for (size_t member : group.members) splits[member] = Split::kVal;
      taken += group.members.size();
    }
  }
  return splits;
}

}  // namespace mead::dataset
