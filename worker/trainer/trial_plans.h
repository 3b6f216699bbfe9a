// Which of a trial's pictures one rank has in which step, from the data set's manifest.
//
// Thread: immutable after construction.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/epoch_plan.h"
#include "common/dataset/manifest.h"
#include "mead/v1/train_config.pb.h"

namespace mead::trainer {

class TrialPlans {
 public:
  TrialPlans(const v1::TrainConfig& config, const dataset::Manifest& manifest, int world_size);

  // The coordinator makes the same (report_translator.h) and compares digests. With virtual
  // ranks training is planned for those, whatever the number of real ones. epoch: from 1.
  // first_step: those before it were done by an earlier attempt.
  EpochPlan Training(int epoch, int64_t first_step = 0) const;
  // In the samples' order, each once.
  EpochPlan Evaluation() const;

  struct Share {
    // By step, from the plan's first: indices within the split, and which use of its sample each of
    // them is; the latter empty where every sample is used once.
    std::vector<std::vector<uint64_t>> steps;
    std::vector<std::vector<uint64_t>> turns;
  };
  // What `rank` has of a plan that Training or Evaluation made.
  Share ShareOf(const EpochPlan& plan, int rank) const;

  // Where in a step's batch the share of `rank` begins.
  uint64_t BeginOf(const EpochPlan& plan, uint64_t step, int rank) const;
  // What is at a place of a step's batch, whoever's it is: index within the split, and its use.
  struct Use {
    uint64_t sample = 0;
    uint64_t turn = 0;
  };
  Use At(const EpochPlan& plan, uint64_t step, uint64_t place) const;

  // Indices within the training split as training's plans number them: as they are, or, with
  // balanced classes, class by class.
  std::vector<uint64_t> ToPlan(std::vector<uint64_t> samples) const;

 private:
  EpochPlanOptions training_;
  EpochPlanOptions evaluation_;
  int world_size_;
  // With balanced classes: the place within the split of every sample, class by class.
  std::vector<uint64_t> by_class_;
  std::vector<uint64_t> number_of_;  // the other way round
};

}  // namespace mead::trainer
