#include "common/dataset/leakage.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

namespace mead::dataset {
namespace {

std::vector<uint32_t> IndicesByKey(const Manifest& manifest) {
  std::vector<uint32_t> indices(manifest.samples.size());
  for (uint32_t i = 0; i < indices.size(); ++i) indices[i] = i;
  std::sort(indices.begin(), indices.end(), [&](uint32_t a, uint32_t b) {
    return manifest.samples[a].key < manifest.samples[b].key;
  });
  return indices;
}

}  // namespace

std::vector<PictureGroup> PictureGroups(const Manifest& manifest) {
  std::map<uint32_t, PictureGroup> by_number;
  for (const uint32_t i : IndicesByKey(manifest)) {
    const Sample& sample = manifest.samples[i];
    if (sample.group == 0) continue;
    PictureGroup& group = by_number[sample.group];
    group.samples.push_back(i);
    ++(sample.split == Split::kTrain ? group.train : group.val);
  }
  std::vector<PictureGroup> groups;
  for (auto& [number, group] : by_number) groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(), [&](const PictureGroup& a, const PictureGroup& b) {
    const auto rank = [&](const PictureGroup& g) {
      return std::tuple<bool, size_t, std::string_view>(!g.straddles(), SIZE_MAX - g.samples.size(),
                                                        manifest.samples[g.samples[0]].key);
    };
    return rank(a) < rank(b);
  });
  return groups;
}

std::vector<std::pair<uint32_t, uint32_t>> LabelConflicts(const Manifest& manifest) {
  struct Seen {
    uint32_t first = 0;
    std::set<uint32_t> classes;
  };
  std::map<std::string_view, Seen> by_digest;
  std::vector<std::pair<uint32_t, uint32_t>> conflicts;
  for (const uint32_t i : IndicesByKey(manifest)) {
    const Sample& sample = manifest.samples[i];
    Seen& seen = by_digest.emplace(sample.digest, Seen{.first = i, .classes = {}}).first->second;
    if (seen.classes.insert(sample.class_id).second && seen.classes.size() > 1) {
      conflicts.emplace_back(seen.first, i);
    }
  }
  return conflicts;
}

void NumberGroups(Manifest& manifest) {
  std::map<uint32_t, uint32_t> sizes;
  for (const Sample& sample : manifest.samples) ++sizes[sample.group];
  std::map<uint32_t, uint32_t> numbers;
  for (Sample& sample : manifest.samples) {
    if (sample.group == 0) continue;
    if (sizes[sample.group] < 2) {
      sample.group = 0;
      continue;
    }
    const auto next = static_cast<uint32_t>(numbers.size() + 1);
    sample.group = numbers.emplace(sample.group, next).first->second;
  }
}

}  // namespace mead::dataset
