#include "worker/trainer/trial_plans.h"

#include <algorithm>
#include <numeric>

#include "worker/trainer/options.h"

namespace mead::trainer {

using dataset::Split;

TrialPlans::TrialPlans(const v1::TrainConfig& config, const dataset::Manifest& manifest,
                       int world_size)
    : world_size_(std::max(1, world_size)) {
  const int virtual_ranks = VirtualRanksOf(config);
  training_ = {.num_samples = manifest.Count(Split::kTrain),
               .seed = SeedOf(config),
               .batch_size = static_cast<uint64_t>(BatchSizeOf(config)),
               .world_size = static_cast<uint32_t>(virtual_ranks > 0 ? virtual_ranks : world_size_),
               .class_counts = {}};
  evaluation_ = training_;
  evaluation_.num_samples = manifest.Count(Split::kVal);
  evaluation_.world_size = static_cast<uint32_t>(world_size_);
  evaluation_.shuffle = false;
  if (config.sampling() != "balanced") return;
  training_.class_counts = manifest.ClassCounts(Split::kTrain);
  const std::vector<uint32_t> samples = manifest.SamplesOf(Split::kTrain);
  by_class_.resize(samples.size());
  std::iota(by_class_.begin(), by_class_.end(), uint64_t{0});
  std::ranges::stable_sort(
      by_class_, {}, [&](uint64_t place) { return manifest.samples[samples[place]].class_id; });
}

EpochPlan TrialPlans::Training(int epoch) const {
  EpochPlanOptions options = training_;
  options.epoch = static_cast<uint64_t>(epoch);
  return EpochPlan(options);
}

EpochPlan TrialPlans::Evaluation() const { return EpochPlan(evaluation_); }

TrialPlans::Share TrialPlans::ShareOf(const EpochPlan& plan, int rank) const {
  Share share;
  share.steps.resize(plan.steps());
  const bool balanced = plan.balanced();
  if (balanced) share.turns.resize(plan.steps());
  // A rank has one part of the plan, or as many virtual ones next to each other.
  const auto parts = plan.world_size() / static_cast<uint32_t>(world_size_);
  const auto first = static_cast<uint32_t>(rank) * parts;
  for (uint64_t step = 0; step < plan.steps(); ++step) {
    for (uint32_t part = first; part < first + parts; ++part) {
      for (const uint64_t index : plan.Slice(step, part)) {
        share.steps[step].push_back(balanced ? by_class_[index] : index);
      }
      const auto turns = plan.Turns(step, part);
      if (balanced) share.turns[step].insert(share.turns[step].end(), turns.begin(), turns.end());
    }
  }
  return share;
}

}  // namespace mead::trainer
