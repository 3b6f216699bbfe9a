#include "common/base/balanced_order.h"

#include <algorithm>
#include <numeric>

#include "common/base/rng.h"

namespace mead {
namespace {

// Streams of random numbers of their own: below are those of the samples' augmentation.
constexpr uint64_t kLeftOver = ~uint64_t{0};
constexpr uint64_t kWithin = kLeftOver - 1;
constexpr uint64_t kAll = kLeftOver - 2;

}  // namespace

std::vector<uint64_t> BalancedOrder(std::span<const uint64_t> counts, uint64_t seed,
                                    uint64_t epoch) {
  const uint64_t draws = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  std::vector<uint64_t> classes;  // those with samples, in the order of who gets what is left
  for (uint64_t label = 0; label < counts.size(); ++label) {
    if (counts[label] > 0) classes.push_back(label);
  }
  Rng::ForKey(seed, epoch, kLeftOver).Shuffle(std::span<uint64_t>(classes));

  std::vector<uint64_t> order;
  for (size_t place = 0; place < classes.size(); ++place) {
    const uint64_t label = classes[place];
    std::vector<uint64_t> samples(counts[label]);
    std::iota(
        samples.begin(), samples.end(),
        std::accumulate(counts.begin(), counts.begin() + static_cast<int64_t>(label), uint64_t{0}));
    Rng rng = Rng::ForKey(seed, epoch, kWithin, label);
    uint64_t left = draws / classes.size() + (place < draws % classes.size() ? 1 : 0);
    while (left > 0) {
      rng.Shuffle(std::span<uint64_t>(samples));
      const uint64_t taken = std::min<uint64_t>(left, samples.size());
      order.insert(order.end(), samples.begin(), samples.begin() + static_cast<int64_t>(taken));
      left -= taken;
    }
  }
  Rng::ForKey(seed, epoch, kAll).Shuffle(std::span<uint64_t>(order));
  return order;
}

}  // namespace mead
