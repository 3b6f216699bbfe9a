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
  number_of_.resize(by_class_.size());
  for (uint64_t i = 0; i < by_class_.size(); ++i) number_of_[by_class_[i]] = i;
}

EpochPlan TrialPlans::Training(int epoch, int64_t first_step) const {
  EpochPlanOptions options = training_;
  options.epoch = static_cast<uint64_t>(epoch);
  options.first_step = static_cast<uint64_t>(first_step);
  return EpochPlan(options);
}

EpochPlan TrialPlans::Evaluation() const { return EpochPlan(evaluation_); }

TrialPlans::Share TrialPlans::ShareOf(const EpochPlan& plan, int rank) const {
  Share share;
  share.steps.resize(plan.steps() - plan.first_step());
  const bool balanced = plan.balanced();
  if (balanced) share.turns.resize(share.steps.size());
  // A rank has one part of the plan, or as many virtual ones next to each other.
  const auto parts = plan.world_size() / static_cast<uint32_t>(world_size_);
  const auto first = static_cast<uint32_t>(rank) * parts;
  for (uint64_t i = 0; i < share.steps.size(); ++i) {
    const uint64_t step = plan.first_step() + i;
    for (uint32_t part = first; part < first + parts; ++part) {
      for (const uint64_t index : plan.Slice(step, part)) {
        share.steps[i].push_back(balanced ? by_class_[index] : index);
      }
      const auto turns = plan.Turns(step, part);
      if (balanced) share.turns[i].insert(share.turns[i].end(), turns.begin(), turns.end());
    }
  }
  return share;
}

uint64_t TrialPlans::BeginOf(const EpochPlan& plan, uint64_t step, int rank) const {
  const auto parts = plan.world_size() / static_cast<uint32_t>(world_size_);
  return plan.SliceBegin(step, static_cast<uint32_t>(rank) * parts);
}

TrialPlans::Use TrialPlans::At(const EpochPlan& plan, uint64_t step, uint64_t place) const {
  const uint64_t index = plan.Batch(step)[place];
  if (!plan.balanced()) return {index, 0};
  return {by_class_[index], plan.BatchTurns(step)[place]};
}

std::vector<uint64_t> TrialPlans::ToPlan(std::vector<uint64_t> samples) const {
  if (number_of_.empty()) return samples;
  for (uint64_t& sample : samples) sample = number_of_[sample];
  return samples;
}

}  // namespace mead::trainer
