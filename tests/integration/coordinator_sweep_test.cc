// Sweeps from submission to their end, over workers that report made-up figures.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/integration/coordinator_fixture.h"
#include "tests/integration/fake_worker.h"

namespace mead::service {
namespace {

using testing::FakeWorker;
using testing::FakeWorkerOptions;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The best of the two is the one with the smaller rate, by its second epoch.
double PeakAtSecondEpoch(const v1::TrainConfig& config, int epoch) {
  return (config.optimizer().lr() < 0.05 ? 0.7 : 0.4) + (epoch == 2 ? 0.1 : 0);
}

TEST_F(CoordinatorTest, ASweepRunsToItsEndOverTwoWorkers) {
  const v1::Dataset set = ImportTinySet();
  EXPECT_EQ(set.train_samples() + set.val_samples(), 40u);
  FakeWorkerOptions options{.train_samples = set.train_samples(), .accuracy = PeakAtSecondEpoch};
  FakeWorker first(Connect(), options);
  options.id = "w2";
  options.instance = "instance-2";
  FakeWorker second(Connect(), options);
  ASSERT_TRUE(first.WaitRegistered() && second.WaitRegistered());

  v1::Sweep sweep;
  const grpc::Status submitted = Submit(SpecOfTwoTrials(), &sweep);
  ASSERT_TRUE(submitted.ok()) << submitted.error_message();
  const v1::WatchSweepResponse end = Watch(sweep.id().substr(0, 4));

  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_SUCCEEDED) << end.sweep().message();
  EXPECT_EQ(end.sweep().trials_succeeded(), 2);
  EXPECT_EQ(end.sweep().best_trial_id(), sweep.id() + "-1");
  EXPECT_DOUBLE_EQ(end.sweep().best_value(), 0.8);
  ASSERT_THAT(end.trials(), SizeIs(2));
  const v1::Trial& best = end.trials(1);
  EXPECT_EQ(best.best_epoch(), 2);
  EXPECT_EQ(best.percent_done(), 100);
  EXPECT_DOUBLE_EQ(best.last_metrics().at("val/accuracy"), 0.7);
  EXPECT_EQ(best.latest_checkpoint().epoch(), 3);
  EXPECT_EQ(best.best_checkpoint().epoch(), 2);

  // The parameters were applied to what was sent to the workers.
  std::vector<v1::Assign> assigned = first.assigned();
  for (const v1::Assign& more : second.assigned()) assigned.push_back(more);
  ASSERT_THAT(assigned, SizeIs(4));
  for (const v1::Assign& assign : assigned) {
    const bool is_first = assign.trial().trial_id() == end.trials(0).id();
    EXPECT_DOUBLE_EQ(assign.config().optimizer().lr(), is_first ? 0.1 : 0.01);
    EXPECT_EQ(assign.config().precision(), "fp32");
    EXPECT_EQ(assign.manifest_digest(), set.manifest_digest());
  }

  EXPECT_EQ(best.latest_predictions().epoch(), 3);
  EXPECT_EQ(best.best_predictions().epoch(), 2);
  const auto predictions = ReadFile(best.best_predictions().path());
  ASSERT_TRUE(predictions.ok());
  EXPECT_EQ(*predictions, absl::StrCat("predictions of ", best.id(), ", attempt 1, epoch 2"));
  EXPECT_EQ(best.best_predictions().digest(), DigestOf(*predictions));
  EXPECT_EQ(best.best_predictions().size_bytes(), predictions->size());

  // What was superseded is gone, what is referred to is there.
  EXPECT_TRUE(std::filesystem::exists(best.best_checkpoint().path()));
  const auto content = ReadFile(best.best_checkpoint().path());
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(DigestOf(*content), best.best_checkpoint().digest());
  coordinator_->context().io.Drain();
  EXPECT_FALSE(
      Stat(DigestOf(absl::StrCat("checkpoint of ", best.id(), ", attempt 1, epoch 1"))).complete());
  EXPECT_FALSE(Stat(DigestOf(absl::StrCat("predictions of ", best.id(), ", attempt 1, epoch 1")))
                   .complete());

  v1::GetConfusionRequest query;
  query.set_trial_id(sweep.id());
  v1::GetConfusionResponse confusion;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(sweeps_->GetConfusion(&context, query, &confusion).ok());
  }
  EXPECT_EQ(confusion.trial_id(), best.id());
  EXPECT_EQ(confusion.epoch(), 2);
  EXPECT_THAT(confusion.confusion().counts(), ::testing::ElementsAre(0, 1, 2, 3));
  EXPECT_DOUBLE_EQ(confusion.metrics().at("val/accuracy"), 0.8);
  query.set_epoch(9);
  {
    grpc::ClientContext context;
    const grpc::Status status = sweeps_->GetConfusion(&context, query, &confusion);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_THAT(status.error_message(), HasSubstr("there are epochs 1, 2, 3"));
  }

  v1::GetLogsRequest logs;
  logs.set_trial_id(best.id());
  logs.set_follow(true);
  grpc::ClientContext context;
  SetDeadline(context);
  auto reader = sweeps_->GetLogs(&context, logs);
  v1::GetLogsResponse lines;
  ASSERT_TRUE(reader->Read(&lines));
  ASSERT_THAT(lines.lines(), SizeIs(3));
  EXPECT_EQ(lines.lines(2).text(), "epoch 3");
  EXPECT_FALSE(reader->Read(&lines));
  EXPECT_TRUE(reader->Finish().ok());

  v1::DeleteDatasetRequest remove;
  remove.set_name(kSetName);
  v1::DeleteDatasetResponse removed;
  grpc::ClientContext delete_context;
  EXPECT_TRUE(datasets_->DeleteDataset(&delete_context, remove, &removed).ok());
  coordinator_->context().io.Drain();
  EXPECT_FALSE(Stat(set.manifest_digest()).complete());
}

TEST_F(CoordinatorTest, ARestartedCoordinatorTakesUpWhereTheWorkersAre) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .pause_after_epoch = 2});
  ASSERT_TRUE(worker.WaitRegistered());
  const uint64_t incarnation = worker.registered().incarnation();
  v1::SweepSpec spec = SpecOfTwoTrials();
  spec.clear_space();
  spec.mutable_resources()->set_ranks(1);
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(spec, &sweep).ok());
  ASSERT_TRUE(worker.WaitPaused());

  coordinator_.reset();
  ASSERT_TRUE(worker.WaitEnded());
  worker.LetGo();  // goes on training, its reports wait
  StartCoordinator();
  worker.Reconnect(Connect());
  ASSERT_TRUE(worker.WaitRegistered());
  EXPECT_EQ(worker.registered().incarnation(), incarnation);

  const v1::WatchSweepResponse end = Watch(sweep.id());
  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_SUCCEEDED) << end.sweep().message();
  EXPECT_EQ(end.trials(0).attempt(), 1) << "it must not have been run twice";
  EXPECT_EQ(end.trials(0).epochs_done(), 3);
  EXPECT_THAT(worker.assigned(), SizeIs(1));
}

class WrongWorkerTest : public CoordinatorTest {
 protected:
  v1::Trial EndOfTrial(FakeWorkerOptions options) {
    options.train_samples = ImportTinySet().train_samples();
    FakeWorker worker(Connect(), options);
    EXPECT_TRUE(worker.WaitRegistered());
    v1::SweepSpec spec = SpecOfTwoTrials();
    spec.clear_space();
    spec.mutable_retry()->set_infrastructure(0);
    v1::Sweep sweep;
    EXPECT_TRUE(Submit(spec, &sweep).ok());
    const v1::WatchSweepResponse end = Watch(sweep.id());
    EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_FAILED);
    EXPECT_EQ(end.trials(0).failure_kind(), v1::FAILURE_KIND_INFRASTRUCTURE);
    return end.trials(0);
  }
};

TEST_F(WrongWorkerTest, AnotherPlanFailsItsTrialAndSaysWhy) {
  EXPECT_THAT(EndOfTrial({.wrong_plan = true}).message(),
              HasSubstr("plans epoch 1 otherwise than the coordinator"));
}

TEST_F(WrongWorkerTest, AnEpochThatUsedAPictureTwiceFailsItsTrialAndSaysWhy) {
  const v1::Trial end = EndOfTrial({.wrong_pictures = true});
  EXPECT_THAT(end.message(),
              HasSubstr("epoch 1 did not use every picture exactly once (internal error)"));
  EXPECT_EQ(end.epochs_done(), 0);
}

TEST_F(CoordinatorTest, AWorkerOfAnotherVersionIsToldWhichSideToUpgrade) {
  FakeWorker worker(Connect(), {.protocol_version = kProtocolVersion + 1});
  ASSERT_TRUE(worker.WaitEnded());
  EXPECT_EQ(worker.ended_with().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(worker.ended_with().error_message(), HasSubstr("upgrade the coordinator"));
}

TEST_F(CoordinatorTest, ANewProcessUnderTheSameNameFencesTheOldOne) {
  FakeWorker old(Connect(), {});
  ASSERT_TRUE(old.WaitRegistered());
  FakeWorker fresh(Connect(), {.instance = "instance-2"});
  ASSERT_TRUE(fresh.WaitRegistered());
  ASSERT_TRUE(old.WaitEnded());
  EXPECT_EQ(old.ended_with().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(old.told(), SizeIs(Ge(1)));
  EXPECT_GT(fresh.registered().incarnation(), old.registered().incarnation());
}

TEST_F(CoordinatorTest, AStoppedSweepEndsItsTrialsAndFreesItsSlots) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .pause_after_epoch = 1});
  ASSERT_TRUE(worker.WaitRegistered());
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(SpecOfTwoTrials(), &sweep).ok());
  ASSERT_TRUE(worker.WaitPaused());
  v1::StopSweepRequest request;
  request.set_sweep_id(sweep.id());
  v1::StopSweepResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(sweeps_->StopSweep(&context, request, &response).ok());
  const v1::WatchSweepResponse end = Watch(sweep.id());
  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_STOPPED);
  EXPECT_EQ(end.sweep().trials_stopped(), end.sweep().trials_total());
  EXPECT_EQ(Queries(coordinator_->context()).GetStatus().slots_idle(), 2);
}

}  // namespace
}  // namespace mead::service
