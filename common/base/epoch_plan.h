// Which rank trains on which sample in which step of an epoch.
//
// Pure: the coordinator and every trainer compute it for themselves and compare
// digests. The global order depends on (num_samples, seed, epoch) alone, so a
// gang of another size goes on with the same batches.
//
// Every sample is used exactly once (unless classes are balanced, see balanced_order.h) and
// nothing is padded: the last batch may be
// partial, and then some ranks' slices may be empty. A rank with an empty slice
// takes part in the collective with zero gradients; gradients are divided by the
// global count (BatchSize), never by the rank's own.
//
// Thread: immutable after construction.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mead {

struct EpochPlanOptions {
  uint64_t num_samples = 0;
  uint64_t seed = 0;
  uint64_t epoch = 1;       // from 1
  uint64_t batch_size = 1;  // global, over all ranks; at least 1
  uint32_t world_size = 1;  // at least 1
  bool shuffle = true;      // false for evaluation: samples in their own order
  // The steps before it are done already: the rest of an interrupted epoch. Batches do not
  // depend on it, so that a gang of any size deals out what is left.
  uint64_t first_step = 0;
  // Samples per class, num_samples in all: then every class comes equally often in as many
  // draws, and indices count the samples class by class. Empty: every sample once.
  std::vector<uint64_t> class_counts = {};
};

class EpochPlan {
 public:
  explicit EpochPlan(const EpochPlanOptions& options);

  // Of the whole epoch.
  uint64_t steps() const;
  uint64_t first_step() const { return options_.first_step; }
  uint32_t world_size() const { return options_.world_size; }
  // Whether indices count the samples class by class.
  bool balanced() const { return !options_.class_counts.empty(); }

  // Samples of a step over all ranks.
  uint64_t BatchSize(uint64_t step) const;

  // The sample indices of a step over all ranks, in their order. Lives as long as the plan.
  std::span<const uint64_t> Batch(uint64_t step) const;
  // Which use of its sample in this epoch each of them is, from 0; none where every sample is used
  // once.
  std::span<const uint64_t> BatchTurns(uint64_t step) const;

  // One rank's sample indices of a step (from 0): contiguous in the global
  // order, sizes differing by at most 1 between ranks. Lives as long as the plan.
  std::span<const uint64_t> Slice(uint64_t step, uint32_t rank) const;
  // Where in Batch it begins.
  uint64_t SliceBegin(uint64_t step, uint32_t rank) const;
  // The part of BatchTurns.
  std::span<const uint64_t> Turns(uint64_t step, uint32_t rank) const;

  // 16 hexadecimal digits over what is left of the order, batch size and number of ranks.
  std::string Digest() const;

 private:
  // Of a batch, [begin, begin + count).
  struct Part {
    uint64_t begin = 0;
    uint64_t count = 0;
  };
  Part PartOf(uint64_t step, uint32_t rank) const;

  EpochPlanOptions options_;
  std::vector<uint64_t> order_;  // [num_samples]
  std::vector<uint64_t> turns_;  // [num_samples], or empty
};

}  // namespace mead
