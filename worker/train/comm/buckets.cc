#include "worker/train/comm/buckets.h"

namespace mead::train {

std::vector<Bucket> PlanBuckets(std::span<const int64_t> sizes, int64_t first_max_elements,
                                int64_t max_elements) {
  constexpr int64_t kAlignment = 16;
  std::vector<Bucket> buckets;
  for (size_t i = sizes.size(); i-- > 0;) {
    const int64_t aligned = (sizes[i] + kAlignment - 1) / kAlignment * kAlignment;
    const int64_t limit = buckets.size() <= 1 ? first_max_elements : max_elements;
    if (buckets.empty() || buckets.back().size + aligned > limit) buckets.emplace_back();
    Bucket& bucket = buckets.back();
    bucket.slots.push_back({.parameter = i, .offset = bucket.size, .size = sizes[i]});
    bucket.size += aligned;
  }
  return buckets;
}

}  // namespace mead::train
