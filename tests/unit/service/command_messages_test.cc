#include "coordinator/service/command_messages.h"

#include <gtest/gtest.h>

#include "coordinator/service/convert.h"
#include "coordinator/service/spec_defaults.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {
namespace {

core::ClusterState StateOfOneTrial() {
  v1::SweepSpec spec;
  spec.set_name("a");
  spec.set_dataset("set");
  spec.mutable_objective()->set_metric("val/loss");
  v1::Dimension& name = *spec.add_space();
  name.set_path("optimizer.name");
  name.mutable_choice()->add_values()->set_text("adamw");
  FillDefaults(spec);
  core::ClusterState state;
  state.sweeps["s"].id = "s";
  state.sweeps["s"].spec = ToCore(spec);
  state.datasets["set"].manifest_digest = "sha256:manifest";
  core::Trial& trial = state.trials["s-0"];
  trial.id = "s-0";
  trial.sweep_id = "s";
  trial.params = {{"optimizer.name", std::string("adamw")}, {"batch_size", int64_t{16}}};
  trial.latest = {3, "sha256:checkpoint", 77};
  state.workers["w"].id = "w";
  state.workers["w"].accelerator = core::Accelerator::kGpu;
  return state;
}

TEST(CommandMessagesTest, AnAssignHoldsTheTrialsOwnConfiguration) {
  const core::ClusterState state = StateOfOneTrial();
  core::AssignMember command{{"w", 1}, {"s-0", 2}, 1, 2, 0, "sha256:checkpoint", 3, 11};
  const auto message = MessageFor(command, state);
  ASSERT_TRUE(message.ok()) << message.status();
  const v1::Assign& assign = message->assign();
  EXPECT_EQ(assign.trial().attempt(), 2);
  EXPECT_EQ(assign.rank(), 1);
  EXPECT_EQ(assign.world_size(), 2);
  EXPECT_EQ(assign.config().batch_size(), 16);
  EXPECT_EQ(assign.config().optimizer().name(), "adamw");
  EXPECT_DOUBLE_EQ(assign.config().optimizer().lr(), 0.001) << "the chosen optimizer's default";
  EXPECT_EQ(assign.config().precision(), "bf16") << "the worker has GPUs";
  EXPECT_EQ(assign.manifest_digest(), "sha256:manifest");
  EXPECT_EQ(assign.objective().metric(), "val/loss");
  EXPECT_EQ(assign.objective().goal(), "minimize");
  EXPECT_EQ(assign.resume_from().epoch(), 3);
  EXPECT_EQ(assign.resume_from().step(), 11);
  EXPECT_EQ(assign.resume_from().size_bytes(), 77u);
}

TEST(CommandMessagesTest, AnAssignSaysWhichFold) {
  core::ClusterState state = StateOfOneTrial();
  const core::AssignMember command{{"w", 1}, {"s-0", 1}, 0, 1, 0, "", 0};
  EXPECT_FALSE(MessageFor(command, state)->assign().config().has_fold());
  v1::SweepSpec spec;
  ASSERT_TRUE(spec.ParseFromString(state.sweeps["s"].spec.encoded));
  spec.mutable_search()->set_fold_seed(7);
  for (int i = 0; i < 3; ++i) spec.add_fold_pictures()->add_train(10);
  state.sweeps["s"].spec = ToCore(spec);
  state.trials["s-0"].index = 4;
  const auto message = MessageFor(command, state);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->assign().config().fold().index(), 2);
  EXPECT_EQ(message->assign().config().fold().folds(), 3);
  EXPECT_EQ(message->assign().config().fold().seed(), 7u);
}

TEST(CommandMessagesTest, AFirstAttemptResumesFromNothing) {
  const auto message =
      MessageFor(core::AssignMember{{"w", 1}, {"s-0", 1}, 0, 1, 0, "", 0}, StateOfOneTrial());
  ASSERT_TRUE(message.ok());
  EXPECT_FALSE(message->assign().has_resume_from());
}

TEST(CommandMessagesTest, ACommandAboutWhatIsGoneIsAnError) {
  const core::AssignMember command{{"w", 1}, {"gone-0", 1}, 0, 1, 0, "", 0};
  EXPECT_TRUE(absl::IsNotFound(MessageFor(command, StateOfOneTrial()).status()));
}

}  // namespace
}  // namespace mead::service
