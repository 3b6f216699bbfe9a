#include "common/base/epoch_plan.h"

#include <algorithm>
#include <numeric>

#include "common/base/balanced_order.h"
#include "common/base/check.h"
#include "common/base/rng.h"

namespace mead {

EpochPlan::EpochPlan(const EpochPlanOptions& options)
    : options_(options), order_(options.num_samples) {
  MEAD_CHECK(options.batch_size > 0, "a batch holds at least one sample");
  MEAD_CHECK(options.world_size > 0, "a gang has at least one rank");
  MEAD_CHECK(options.first_step <= steps(), "an epoch goes on within its steps");
  if (!options.class_counts.empty()) {
    order_ = BalancedOrder(options.class_counts, options.seed, options.epoch);
    MEAD_CHECK(order_.size() == options.num_samples, "every sample has a class");
    std::vector<uint64_t> uses(options.num_samples);
    for (const uint64_t index : order_) turns_.push_back(uses[index]++);
    return;
  }
  std::iota(order_.begin(), order_.end(), uint64_t{0});
  if (options.shuffle) {
    Rng::ForKey(options.seed, options.epoch).Shuffle(std::span<uint64_t>(order_));
  }
}

uint64_t EpochPlan::steps() const {
  return options_.num_samples / options_.batch_size +
         (options_.num_samples % options_.batch_size != 0);
}

uint64_t EpochPlan::BatchSize(uint64_t step) const {
  MEAD_CHECK(step < steps(), "no such step");
  return std::min(options_.batch_size, options_.num_samples - step * options_.batch_size);
}

std::span<const uint64_t> EpochPlan::Batch(uint64_t step) const {
  return std::span<const uint64_t>(order_).subspan(step * options_.batch_size, BatchSize(step));
}

std::span<const uint64_t> EpochPlan::BatchTurns(uint64_t step) const {
  if (turns_.empty()) return {};
  return std::span<const uint64_t>(turns_).subspan(step * options_.batch_size, BatchSize(step));
}

EpochPlan::Part EpochPlan::PartOf(uint64_t step, uint32_t rank) const {
  MEAD_CHECK(rank < options_.world_size, "no such rank");
  const uint64_t size = BatchSize(step);
  // The first size % world_size ranks take one sample more.
  const uint64_t share = size / options_.world_size;
  const uint64_t extra = size % options_.world_size;
  const uint64_t begin = rank * share + std::min<uint64_t>(rank, extra);
  const uint64_t count = share + (rank < extra ? 1 : 0);
  return {begin, count};
}

std::span<const uint64_t> EpochPlan::Slice(uint64_t step, uint32_t rank) const {
  const Part part = PartOf(step, rank);
  return Batch(step).subspan(part.begin, part.count);
}

uint64_t EpochPlan::SliceBegin(uint64_t step, uint32_t rank) const {
  return PartOf(step, rank).begin;
}

std::span<const uint64_t> EpochPlan::Turns(uint64_t step, uint32_t rank) const {
  if (turns_.empty()) return {};
  const Part part = PartOf(step, rank);
  return BatchTurns(step).subspan(part.begin, part.count);
}

std::string EpochPlan::Digest() const {
  // FNV-1a, 64 bits, over little-endian words.
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) {
      hash = (hash ^ ((word >> shift) & 0xff)) * 0x100000001b3;
    }
  };
  add(options_.num_samples);
  add(options_.batch_size);
  add(options_.world_size);
  if (options_.first_step > 0) add(options_.first_step);
  const uint64_t done = std::min(options_.first_step * options_.batch_size, options_.num_samples);
  for (uint64_t i = done; i < order_.size(); ++i) add(order_[i]);
  std::string digest(16, '0');
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = "0123456789abcdef"[(hash >> (60 - 4 * i)) & 0xf];
  }
  return digest;
}

}  // namespace mead
