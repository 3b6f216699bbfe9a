#include "coordinator/service/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "coordinator/store/codec.h"
#include "tests/support/memory_store.h"
#include "tests/support/sample_events.h"

namespace mead::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Real time that nothing here should ever need.
constexpr absl::Duration kPatience = absl::Seconds(20);

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }

  void Start() {
    engine_.reset();
    store_ = std::make_unique<testing::MemoryStore>(disk_);
    absl::StatusOr<std::unique_ptr<Engine>> engine =
        Engine::Create({.store = *store_,
                        .clock = clock_,
                        .config = config_,
                        .lease = absl::Seconds(4),
                        .on_command = [this](const core::Command& command) {
                          absl::MutexLock lock(&mu_);
                          commands_.push_back(command);
                        }});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  absl::Status Do(Body body) {
    std::promise<absl::Status> done;
    engine_->Post(std::move(body), [&](const absl::Status& status, const core::ClusterState&) {
      done.set_value(status);
    });
    return done.get_future().get();
  }
  absl::Status Report(WorkerReport report) {
    std::promise<absl::Status> done;
    engine_->PostReport(
        std::move(report),
        [&](const absl::Status& status, const core::ClusterState&) { done.set_value(status); });
    return done.get_future().get();
  }
  core::WorkerRef Register(const std::string& id, const std::string& instance) {
    core::WorkerRegistered event;
    event.worker_id = id;
    event.instance_id = instance;
    event.accelerator = core::Accelerator::kCpu;
    event.slots = 1;
    EXPECT_TRUE(Do(std::move(event)).ok());
    return {id, engine_->snapshot()->workers.at(id).incarnation};
  }
  void Submit(const core::SweepSpec& spec) {
    EXPECT_TRUE(Do(core::DatasetCreated{spec.dataset, "sha256:ab", 10, ""}).ok());
    EXPECT_TRUE(Do(core::SweepSubmitted{"s", "r", spec}).ok());
  }
  // One trial of one rank on that worker, running.
  core::TrialRef RunTrial(const core::WorkerRef& worker) {
    core::SweepSpec spec = testing::SampleSpec();
    spec.ranks = 1;
    spec.trials = 1;
    spec.space.pop_back();
    spec.fold_train_samples.clear();
    Submit(spec);
    const core::TrialRef trial{"s-0", 1};
    EXPECT_TRUE(Do(core::MemberReady{worker, trial, 0, "127.0.0.1:1"}).ok());
    EXPECT_EQ(engine_->snapshot()->trials.at("s-0").state, core::TrialState::kRunning);
    return trial;
  }
  // Waits until the state is as wanted.
  template <class F>
  void Await(F wanted) {
    absl::Mutex mu;
    bool changed = true;
    const int id = engine_->Subscribe([&] {
      absl::MutexLock lock(&mu);
      changed = true;
    });
    const absl::Time deadline = absl::Now() + kPatience;
    bool is = false;
    while (!(is = wanted(*engine_->snapshot())) && absl::Now() < deadline) {
      absl::MutexLock lock(&mu);
      mu.AwaitWithDeadline(absl::Condition(&changed), deadline);
      changed = false;
    }
    engine_->Unsubscribe(id);
    EXPECT_TRUE(is);
  }
  template <class T>
  std::vector<T> CommandsOf() {
    absl::MutexLock lock(&mu_);
    std::vector<T> found;
    for (const core::Command& command : commands_) {
      if (const T* one = std::get_if<T>(&command)) found.push_back(*one);
    }
    return found;
  }

  const std::shared_ptr<testing::MemoryDisk> disk_ = std::make_shared<testing::MemoryDisk>();
  FakeClock clock_;
  core::Config config_;
  absl::Mutex mu_;
  std::vector<core::Command> commands_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<testing::MemoryStore> store_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, CompletesWithTheStateThatTheEventMade) {
  std::promise<bool> known;
  engine_->Post(core::DatasetCreated{"kvasir", "sha256:ab", 10, ""},
                [&](const absl::Status& status, const core::ClusterState& state) {
                  known.set_value(status.ok() && state.datasets.contains("kvasir"));
                });
  EXPECT_TRUE(known.get_future().get());
  EXPECT_TRUE(engine_->snapshot()->datasets.contains("kvasir"));
  EXPECT_EQ(engine_->journal_events(), disk_->events.size());
}

TEST_F(EngineTest, EventsCarryTheClocksTime) {
  const absl::Time posted = clock_.Now();
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(disk_->events.back().at, absl::ToUnixMicros(posted));
}

TEST_F(EngineTest, TimeGoesOnFromTheJournalWhenTheMachinesClockWasSetBack) {
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  const core::TimeMicros before = disk_->events.back().at;
  clock_.Advance(-absl::Hours(1));
  Start();
  clock_.Advance(absl::Seconds(7));
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(disk_->events.back().at, before + 7'000'000);
}

TEST_F(EngineTest, ARestartGivesTheSameStateAndNoCommands) {
  const core::WorkerRef worker = Register("w", "i1");
  RunTrial(worker);
  const std::string before = store::EncodeState(*engine_->snapshot());
  EXPECT_EQ(CommandsOf<core::AssignMember>().size(), 1u);
  EXPECT_EQ(CommandsOf<core::StartMember>().size(), 1u);
  {
    absl::MutexLock lock(&mu_);
    commands_.clear();
  }
  disk_->snapshots.clear();  // as after a kill: nothing but the journal
  Start();
  EXPECT_EQ(store::EncodeState(*engine_->snapshot()), before);
  absl::MutexLock lock(&mu_);
  EXPECT_THAT(commands_, IsEmpty());
}

TEST_F(EngineTest, ACleanEndSavesASnapshotAndTakesInWhatWasPosted) {
  for (int i = 0; i < 50; ++i) engine_->Post(core::DatasetDeleted{"x"});
  engine_.reset();
  EXPECT_GE(disk_->events.size(), 50u);
  EXPECT_EQ(disk_->snapshots.rbegin()->first, disk_->events.size());
}

TEST_F(EngineTest, ALongJournalGetsASnapshotOnTheWay) {
  for (int i = 0; i < 2500; ++i) engine_->Post(core::DatasetDeleted{"x"});
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());  // the round before has ended
  EXPECT_LT(store_->events_since_snapshot(), 2000u);
}

TEST_F(EngineTest, OtherTunablesAreAnEvent) {
  config_.start_timeout = 123;
  Start();
  Await([](const core::ClusterState& state) { return state.config.start_timeout == 123; });
  const uint64_t events = engine_->journal_events();
  Start();
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(engine_->journal_events(), events + 1) << "the same tunables are none";
}

TEST_F(EngineTest, ManyPostsShareATransaction) {
  // The core thread is held in a completion while the rest queues up.
  std::promise<void> entered, release;
  engine_->Post(core::DatasetDeleted{"x"}, [&](const absl::Status&, const core::ClusterState&) {
    entered.set_value();
    release.get_future().wait();
  });
  entered.get_future().wait();
  const int before = disk_->appends;
  std::vector<std::promise<void>> done(500);
  for (std::promise<void>& one : done) {
    engine_->Post(core::DatasetDeleted{"x"},
                  [&](const absl::Status&, const core::ClusterState&) { one.set_value(); });
  }
  release.set_value();
  for (std::promise<void>& one : done) one.get_future().wait();
  EXPECT_EQ(disk_->appends, before + 1);
}

TEST_F(EngineTest, AWorkerThatIsSilentForALeaseIsLost) {
  Register("w", "i1");
  const core::WorkerRef other = Register("v", "i2");
  clock_.Advance(absl::Seconds(3));
  EXPECT_TRUE(engine_->Heartbeat(other));
  clock_.Advance(absl::Seconds(2));
  Await([](const core::ClusterState& state) { return state.workers.at("w").lost; });
  EXPECT_FALSE(engine_->snapshot()->workers.at("v").lost);
  EXPECT_FALSE(engine_->LastHeartbeat("w").has_value());
  EXPECT_TRUE(engine_->LastHeartbeat("v").has_value());
}

TEST_F(EngineTest, HeartbeatsKeepALeaseForEver) {
  const core::WorkerRef worker = Register("w", "i1");
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(absl::Seconds(3));
    ASSERT_TRUE(engine_->Heartbeat(worker));
  }
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_FALSE(engine_->snapshot()->workers.at("w").lost);
}

TEST_F(EngineTest, AFencedWorkerIsToldSo) {
  const core::WorkerRef old = Register("w", "i1");
  const core::WorkerRef now = Register("w", "i2");
  EXPECT_NE(old.incarnation, now.incarnation);
  EXPECT_FALSE(engine_->Heartbeat(old));
  EXPECT_TRUE(engine_->Heartbeat(now));
  const size_t events = disk_->events.size();
  core::MemberExited exited;
  exited.worker = old;
  EXPECT_TRUE(absl::IsAborted(
      Report({.worker = old, .instance_id = "i1", .sequence = 1, .event = std::move(exited)})));
  EXPECT_EQ(disk_->events.size(), events) << "nothing of it is journalled";
  EXPECT_EQ(engine_->AckedSequence("i1"), 0u);
}

TEST_F(EngineTest, LeasesStartAnewAfterARestartWithAGrace) {
  Register("back", "i1");
  const core::WorkerRef gone = Register("gone", "i2");
  engine_.reset();
  clock_.Advance(absl::Hours(1));
  Start();
  // Longer than a lease, and both are still awaited.
  clock_.Advance(absl::Seconds(14));
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_FALSE(engine_->snapshot()->workers.at("gone").lost);
  const core::WorkerRef back = Register("back", "i1");
  clock_.Advance(absl::Seconds(1));
  Await([](const core::ClusterState& state) { return state.workers.at("gone").lost; });
  EXPECT_FALSE(engine_->Heartbeat(gone));
  // Who is back has an ordinary lease.
  EXPECT_TRUE(engine_->Heartbeat(back));
  clock_.Advance(absl::Seconds(4));
  Await([](const core::ClusterState& state) { return state.workers.at("back").lost; });
}

TEST_F(EngineTest, ADeadlineInTheStateMakesATick) {
  const core::WorkerRef worker = Register("w", "i1");
  core::SweepSpec spec = testing::SampleSpec();
  spec.ranks = 1;
  spec.space.pop_back();
  spec.fold_train_samples.clear();
  Submit(spec);
  ASSERT_EQ(engine_->snapshot()->trials.at("s-0").state, core::TrialState::kStarting);
  // Alive but never ready: the start timeout ends the attempt.
  const absl::Time deadline = clock_.Now() + absl::Microseconds(config_.start_timeout);
  while (clock_.Now() < deadline) {
    clock_.Advance(absl::Seconds(3));
    ASSERT_TRUE(engine_->Heartbeat(worker));
  }
  Await([](const core::ClusterState& state) {
    return state.trials.at("s-0").state != core::TrialState::kStarting;
  });
  EXPECT_TRUE(std::holds_alternative<core::Tick>(disk_->events.back().body));
  EXPECT_EQ(CommandsOf<core::AbortMember>().size(), 1u);
}

TEST_F(EngineTest, AReportIsAppliedOnce) {
  const core::WorkerRef worker = Register("w", "i1");
  const core::TrialRef trial = RunTrial(worker);
  WorkerReport report{.worker = worker,
                      .instance_id = "i1",
                      .sequence = 1,
                      .event = core::EpochReported{worker, trial, 1, 0.5}};
  report.rows.logs.push_back({.trial_id = trial.trial_id, .attempt = 1, .text = "line"});
  ASSERT_TRUE(Report(report).ok());
  EXPECT_EQ(engine_->AckedSequence("i1"), 1u);
  const size_t events = disk_->events.size();
  ASSERT_TRUE(Report(report).ok()) << "a repeated one is a success";
  Start();
  EXPECT_EQ(engine_->AckedSequence("i1"), 1u);
  ASSERT_TRUE(Report(report).ok()) << "after a restart too";
  EXPECT_EQ(disk_->events.size(), events);
  EXPECT_EQ(disk_->logs.size(), 1u);
  report.sequence = 2;
  ASSERT_TRUE(Report(report).ok());
  EXPECT_EQ(disk_->events.size(), events + 1);
  EXPECT_EQ(disk_->logs.size(), 2u);
}

TEST_F(EngineTest, ANewProcessOnANodeStartsCountingAnew) {
  const core::WorkerRef first = Register("w", "i1");
  ASSERT_TRUE(Report({.worker = first, .instance_id = "i1", .sequence = 41}).ok());
  EXPECT_EQ(engine_->AckedSequence("i1"), 41u);
  const core::WorkerRef second = Register("w", "i2");
  EXPECT_EQ(engine_->AckedSequence("i1"), 0u);
  EXPECT_EQ(disk_->cursors.count("i1"), 0u) << "cursors of processes that are gone do not pile up";
  ASSERT_TRUE(Report({.worker = second, .instance_id = "i2", .sequence = 1}).ok());
  EXPECT_EQ(engine_->AckedSequence("i2"), 1u);
}

TEST_F(EngineTest, FiguresOfAnAttemptThatIsOverAreDroppedAndLogLinesKept) {
  const core::WorkerRef worker = Register("w", "i1");
  const core::TrialRef trial = RunTrial(worker);
  WorkerReport report{.worker = worker, .instance_id = "i1", .sequence = 1};
  for (const int attempt : {0, trial.attempt}) {
    report.rows.metrics.push_back({.trial_id = "s-0", .attempt = attempt, .epoch = 1, .name = "m"});
    report.rows.confusion.push_back({.trial_id = "s-0", .attempt = attempt, .epoch = 1 + attempt});
    report.rows.logs.push_back({.trial_id = "s-0", .attempt = attempt, .text = "line"});
  }
  ASSERT_TRUE(Report(std::move(report)).ok());
  ASSERT_EQ(store_->Metrics("s-0", {}).value().size(), 1u);
  EXPECT_EQ(store_->Metrics("s-0", {}).value()[0].attempt, trial.attempt);
  EXPECT_THAT(store_->ConfusionEpochs("s-0").value(), ElementsAre(1 + trial.attempt));
  EXPECT_EQ(store_->Logs("s-0", 0, 10).value().size(), 2u);
}

TEST_F(EngineTest, SubscribersHearOfEveryPublicationUntilTheyLeave) {
  std::atomic<int> calls = 0;
  const uint64_t version = engine_->version();
  const int id = engine_->Subscribe([&] { ++calls; });
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(engine_->version(), version + 2);
  engine_->Unsubscribe(id);
  const int seen = calls;
  EXPECT_GE(seen, 1);  // the second call may come after Do() has returned
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(calls, seen);
}

TEST_F(EngineTest, ASubscriberMayLeaveFromWithin) {
  std::promise<void> called;
  int id = 0;
  std::atomic<int> calls = 0;
  id = engine_->Subscribe([&] {
    engine_->Unsubscribe(id);
    if (++calls == 1) called.set_value();
  });
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  called.get_future().wait();
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  engine_.reset();
  EXPECT_EQ(calls, 1);
}

TEST_F(EngineTest, CompletionsMayPostAgain) {
  std::promise<absl::Status> done;
  engine_->Post(core::DatasetDeleted{"x"}, [&](const absl::Status&, const core::ClusterState&) {
    engine_->Post(
        core::DatasetDeleted{"y"},
        [&](const absl::Status& status, const core::ClusterState&) { done.set_value(status); });
  });
  EXPECT_TRUE(done.get_future().get().ok());
}

TEST_F(EngineTest, AnIdleEngineWritesNothing) {
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  const int appends = disk_->appends;
  clock_.Advance(absl::Hours(100));
  ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
  EXPECT_EQ(disk_->appends, appends + 1);
}

using EngineDeathTest = EngineTest;

TEST_F(EngineDeathTest, AJournalThatCannotBeWrittenEndsTheProcessBeforeItActs) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        ASSERT_TRUE(Do(core::DatasetDeleted{"x"}).ok());
        engine_.reset();
        disk_->append_error = absl::ResourceExhaustedError("mead.db: disk is full");
        Start();
        engine_->Post(core::DatasetDeleted{"x"}, [](const auto&, const auto&) { _exit(1); });
        engine_.reset();
        _exit(2);
      },
      ::testing::ExitedWithCode(74), "journal cannot be written: mead.db: disk is full");
}

}  // namespace
}  // namespace mead::service
