// The plan of an epoch as the coordinator makes it, for comparing with a trainer's.
#include <gtest/gtest.h>

#include "common/base/epoch_plan.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/report_translator.h"
#include "coordinator/service/spec_defaults.h"
#include "mead/v1/dataset.pb.h"

namespace mead::service {
namespace {

std::string DigestWith(const std::string& sampling) {
  v1::SweepSpec spec;
  spec.set_name("a");
  spec.set_dataset("set");
  spec.mutable_train()->set_batch_size(8);
  spec.mutable_train()->set_seed(5);
  spec.mutable_resources()->set_ranks(2);
  if (!sampling.empty()) spec.mutable_train()->set_sampling(sampling);
  FillDefaults(spec);
  core::ClusterState state;
  state.sweeps["s"].id = "s";
  state.sweeps["s"].spec = ToCore(spec);
  v1::Dataset dataset;
  for (const uint64_t samples : {30, 2, 9}) dataset.add_classes()->set_train_samples(samples);
  state.datasets["set"].train_samples = 41;
  state.datasets["set"].encoded = dataset.SerializeAsString();
  core::Trial& trial = state.trials["s-0"];
  trial.id = "s-0";
  trial.sweep_id = "s";
  return PlanOf(state, trial, /*epoch=*/4).value().Digest();
}

TEST(PlanDigestTest, IsOfEverySampleOrOfBalancedClasses) {
  EpochPlanOptions plan{.num_samples = 41,
                        .seed = 5,
                        .epoch = 4,
                        .batch_size = 8,
                        .world_size = 2,
                        .class_counts = {}};
  EXPECT_EQ(DigestWith("all"), EpochPlan(plan).Digest());
  EXPECT_EQ(DigestWith(""), EpochPlan(plan).Digest());
  plan.class_counts = {30, 2, 9};
  EXPECT_EQ(DigestWith("balanced"), EpochPlan(plan).Digest());
}

TEST(PlanDigestTest, OfAFoldIsOfItsTrainingPictures) {
  for (const std::string sampling : {"all", "balanced"}) {
    v1::SweepSpec spec;
    spec.set_name("a");
    spec.set_dataset("set");
    spec.mutable_train()->set_batch_size(8);
    spec.mutable_train()->set_sampling(sampling);
    spec.mutable_search()->set_trials(2);
    spec.mutable_search()->set_folds(2);
    FillDefaults(spec);
    for (const std::vector<uint64_t>& train : {std::vector<uint64_t>{20, 3}, {19, 4}}) {
      spec.add_fold_pictures()->mutable_train()->Add(train.begin(), train.end());
    }
    core::ClusterState state;
    state.sweeps["s"].id = "s";
    state.sweeps["s"].spec = ToCore(spec);
    state.datasets["set"].train_samples = 41;
    core::Trial& trial = state.trials["s-1.2"];
    trial.id = "s-1.2";
    trial.sweep_id = "s";
    trial.index = 3;
    EpochPlanOptions plan{.num_samples = 23,
                          .seed = 1,
                          .epoch = 4,
                          .batch_size = 8,
                          .world_size = 1,
                          .class_counts = {}};
    if (sampling == "balanced") plan.class_counts = {19, 4};
    EXPECT_EQ(PlanOf(state, trial, /*epoch=*/4).value().Digest(), EpochPlan(plan).Digest());
  }
}

}  // namespace
}  // namespace mead::service
