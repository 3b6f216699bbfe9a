#include "tests/support/sample_events.h"

#include <string>
#include <utility>

#include "coordinator/core/step.h"

namespace mead::testing {

using namespace core;  // NOLINT: a file of core's own words

SweepSpec SampleSpec() {
  return {.name = "kvasir",
          .dataset = "kvasir-v2",
          .objective_metric = "val/macro_f1",
          .goal = Goal::kMinimize,
          .method = SearchMethod::kRandom,
          .trials = 5,
          .parallel = 3,
          .search_seed = 0xfedcba9876543210,
          .ranks = 2,
          .accelerator = Accelerator::kCpu,
          .retry = {.user_error = 1, .out_of_memory = 2, .infrastructure = RetryBudget::kUnlimited},
          .epochs = 3,
          .keep_best = 2,
          .keep_latest = 3,
          .fold_train_samples = {100, 200, uint64_t{1} << 40},
          .space = {{"optimizer.lr", LogUniformRange{1e-4, 1e-1}},
                    {"augment.lighting", UniformRange{0.1, 0.4, 0.1}},
                    {"batch_size", IntRange{32, 128, 32}},
                    {"optimizer.name",
                     Choice{{std::string("sgd"), 0.5, int64_t{-7}, true, std::string()}}},
                    {"schedule", Choice{}}},
          .encoded = std::string("\x00\xff\x01 not utf-8", 12)};
}

std::vector<Event> OneOfEachEvent() {
  const WorkerRef worker{"gpu-7", 9};
  const TrialRef trial{"s1-4", 3};
  return {
      {1, Configured{{11, 12, 13}}},
      {2, DatasetCreated{"kvasir-v2", "sha256:ab", 6400, std::string("\x0a\x00\xc3", 3)}},
      {3, DatasetDeleted{"kvasir-v2"}},
      {4, SweepSubmitted{"s1", "request-1", SampleSpec()}},
      {5, SweepStopRequested{"s1"}},
      {6, TrialStopRequested{"s1-4"}},
      {7, WorkerRegistered{"gpu-7",
                           "instance-a",
                           "10.0.0.7",
                           "0.1.0",
                           Accelerator::kGpu,
                           "H200",
                           4,
                           {{trial, 1, 2, true}, {{"s1-0", 1}, 0, 3, false}}}},
      {8, WorkerLost{worker, "text that is not UTF-8: \xff\xfe"}},
      {9, MemberReady{worker, trial, 2, "10.0.0.7:4321"}},
      {10, EpochReported{worker, trial, 2, -0.0}},
      {11, CheckpointSaved{worker, trial, 2, "sha256:cd", uint64_t{1} << 40, 9}},
      {12, MemberExited{worker, trial, 1, true, FailureKind::kOutOfMemory, "ended", true}},
      {12, MemberExited{worker, trial, 1, false, FailureKind::kPreempted, "asked to", false, true}},
      {-13, Tick{}},
      {14, CheckpointsDropped{{"sha256:ab", "sha256:cd"}}},
      {14, PredictionsSaved{worker, trial, 2, "sha256:ef", uint64_t{1} << 33}},
      {15, WorkerDraining{worker}},
  };
}

namespace {

// Writes events and follows them with Step, to know what can happen next.
class Script {
 public:
  void Do(decltype(Event::body) body) {
    now_ += 1'000'000;
    events_.push_back({now_, std::move(body)});
    (void)Step(state_, events_.back());
  }
  void Register(const std::string& id, const std::string& instance) {
    Do(WorkerRegistered{id, instance, "127.0.0.1", "0.1.0", Accelerator::kCpu, "cpu", 2, {}});
  }
  // What each member of a live gang says, by trial.
  template <class F>
  void ForEachLiveMember(F say) {
    const ClusterState before = state_;
    for (const auto& [id, trial] : before.trials) {
      for (size_t rank = 0; rank < trial.gang.size(); ++rank) {
        if (!trial.gang[rank].exited) say(trial, static_cast<int>(rank), trial.gang[rank].worker);
      }
    }
  }
  void AllReady() {
    ForEachLiveMember([&](const Trial& trial, int rank, const WorkerRef& worker) {
      Do(MemberReady{worker, {trial.id, trial.attempt}, rank, rank == 0 ? "127.0.0.1:9" : ""});
    });
  }
  void AllReport(int epoch) {
    ForEachLiveMember([&](const Trial& trial, int rank, const WorkerRef& worker) {
      if (rank != 0) return;
      const TrialRef ref{trial.id, trial.attempt};
      const std::string digest = "sha256:" + trial.id + "/" + std::to_string(epoch);
      Do(CheckpointSaved{worker, ref, epoch - 1, digest + "-", 1000, 4});
      Do(EpochReported{worker, ref, epoch, 0.5 + 0.01 * trial.index + 0.1 * epoch});
      Do(CheckpointSaved{worker, ref, epoch, digest, 1000});
      Do(PredictionsSaved{worker, ref, epoch, "sha256:p" + trial.id, 10});
    });
  }
  void AllExit(bool succeeded, FailureKind kind) {
    ForEachLiveMember([&](const Trial& trial, int rank, const WorkerRef& worker) {
      Do(MemberExited{worker, {trial.id, trial.attempt}, rank, succeeded, kind, "told to"});
    });
  }
  void StopALiveTrial() {
    for (const auto& [id, trial] : state_.trials) {
      if (trial.gang.empty()) continue;
      Do(TrialStopRequested{id});
      return;
    }
  }
  WorkerRef Ref(const std::string& id) const {
    const auto it = state_.workers.find(id);
    return {id, it == state_.workers.end() ? 0 : it->second.incarnation};
  }
  std::vector<Event> Take() { return std::move(events_); }

 private:
  TimeMicros now_ = 1'700'000'000'000'000;
  ClusterState state_;
  std::vector<Event> events_;
};

}  // namespace

std::vector<Event> ClusterLife(int rounds) {
  Script script;
  script.Do(Configured{{60'000'000, 1'000'000, 8'000'000}});
  script.Do(DatasetCreated{"kvasir-v2", "sha256:ab", 6400, "encoded"});
  for (int round = 0; round < rounds; ++round) {
    const std::string n = std::to_string(round);
    script.Register("a", "a" + n);
    script.Register("b", "b" + n);
    SweepSpec spec = SampleSpec();
    if (round % 2 == 0) spec.fold_train_samples.clear();
    spec.space.pop_back();  // a choice of nothing has no points
    script.Do(SweepSubmitted{"s" + n, "r" + n, spec});
    script.AllReady();
    script.AllReport(1);
    script.Do(WorkerLost{script.Ref("b"), "unplugged"});
    script.Do(Tick{});
    script.AllExit(false, FailureKind::kInfrastructure);
    script.Register("b", "b" + n);
    for (int i = 0; i < 8; ++i) script.Do(Tick{});
    script.AllReady();
    script.AllExit(false, FailureKind::kUserError);
    script.AllReady();
    script.AllReport(2);
    script.AllReport(3);
    script.AllExit(true, FailureKind::kNone);
    for (int i = 0; i < 2; ++i) {  // once is within the budget
      script.AllReady();
      script.AllExit(false, FailureKind::kUserError);
    }
    script.AllReady();
    script.StopALiveTrial();
    if (round % 2 == 1) script.Do(SweepStopRequested{"s" + n});
    script.AllExit(false, FailureKind::kOutOfMemory);
  }
  return script.Take();
}

}  // namespace mead::testing
