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
  EpochPlan Training(int epoch) const;
  // In the samples' order, each once.
  EpochPlan Evaluation() const;

  struct Share {
    // By step: indices within the split, and which use of its sample each of them is; the
    // latter empty where every sample is used once.
    std::vector<std::vector<uint64_t>> steps;
    std::vector<std::vector<uint64_t>> turns;
  };
  // What `rank` has of a plan that Training or Evaluation made.
  Share ShareOf(const EpochPlan& plan, int rank) const;

 private:
  EpochPlanOptions training_;
  EpochPlanOptions evaluation_;
  int world_size_;
  // With balanced classes: the place within the split of every sample, class by class.
  std::vector<uint64_t> by_class_;
};

}  // namespace mead::trainer
