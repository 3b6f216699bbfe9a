#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "coordinator/core/debug_string.h"
#include "coordinator/core/transitions.h"
#include "tests/simulation/agent_model.h"
#include "tests/simulation/coordinator_model.h"

namespace mead::core {
namespace {

constexpr TimeMicros kFaultsEnd = 60 * kSecond;
// Long enough for every backoff and start timeout that is still to come.
constexpr TimeMicros kPatience = 2'000 * kSecond;

}  // namespace

Simulation::Simulation(uint64_t seed, Faults kind, bool trace)
    : kind_(kind), trace_(trace), rng_(seed) {}
Simulation::~Simulation() = default;

TimeMicros Simulation::Between(TimeMicros low, TimeMicros high) {
  return low + static_cast<TimeMicros>(rng_.Below(static_cast<uint64_t>(high - low + 1)));
}

void Simulation::After(TimeMicros delay, std::function<void()> action) {
  actions_.push({now_ + delay, next_order_++, std::move(action)});
}

void Simulation::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
  Trace("! ", what);
}

void Simulation::Print(const std::string& line) const {
  std::fprintf(stderr, "%9.3f %s\n", static_cast<double>(now_) / 1e6, line.c_str());
}

void Simulation::SendUp(const StreamPtr& stream, std::function<void()> deliver) {
  stream->last_up = std::max(stream->last_up, now_ + Between(0, 200 * kMillisecond));
  After(stream->last_up - now_, [stream, deliver = std::move(deliver)] {
    if (!stream->cut) deliver();
  });
}

void Simulation::SendDown(const StreamPtr& stream, std::function<void()> deliver) {
  stream->last_down = std::max(stream->last_down, now_ + Between(0, 200 * kMillisecond));
  After(stream->last_down - now_, [stream, deliver = std::move(deliver)] {
    if (!stream->cut && stream->agent_open) deliver();
  });
}

void Simulation::Cut(const StreamPtr& stream) {
  if (stream->cut) return;
  stream->cut = true;
  After(Between(0, 2 * kSecond), [this, stream] { coordinator_->OnStreamEnd(stream); });
  After(Between(0, 2 * kSecond), [this, stream] { agent(stream->agent).OnStreamEnd(stream); });
}

void Simulation::MakeCluster() {
  Config config;
  // As short as the faults are long, unless only patience is asked for.
  config.start_timeout = (kind_ == Faults::kAll ? 20 : 600) * kSecond;
  config.max_backoff = 10 * kSecond;
  coordinator_ = std::make_unique<CoordinatorModel>(*this, config);

  const int workers = static_cast<int>(1 + rng_.Below(4));
  int most_slots = 0;
  for (int i = 0; i < workers; ++i) {
    const int slots = static_cast<int>(1 + rng_.Below(3));
    most_slots += slots;
    agents_.push_back(std::make_unique<AgentModel>(*this, i, slots, Accelerator::kCpu));
    After(Between(0, 5 * kSecond), [this, i] { agent(i).Boot(); });
  }
  // Sometimes a GPU node for one sweep of its own.
  const bool gpu = rng_.Below(3) == 0;
  if (gpu) {
    agents_.push_back(std::make_unique<AgentModel>(*this, workers, 2, Accelerator::kGpu));
    After(0, [this, workers] { agent(workers).Boot(); });
  }

  const int sweeps = static_cast<int>(1 + rng_.Below(2)) + gpu;
  for (int i = 0; i < sweeps; ++i) {
    SweepSpec spec;
    spec.name = "simulated";
    spec.dataset = "kvasir";
    spec.objective_metric = "val/accuracy";
    spec.goal = rng_.Below(2) == 0 ? Goal::kMaximize : Goal::kMinimize;
    spec.trials = static_cast<int>(1 + rng_.Below(5));
    spec.parallel = static_cast<int>(rng_.Below(3));
    spec.search_seed = rng_.NextUint64();
    spec.epochs = 3;
    spec.space = {{"optimizer.lr", UniformRange{0, 1, 0}}};
    if (rng_.Below(3) == 0) spec.fold_train_samples.assign(2 + rng_.Below(2), 800);
    spec.retry.infrastructure = rng_.Below(4) == 0 ? 3 : RetryBudget::kUnlimited;
    spec.retry.user_error = static_cast<int>(rng_.Below(2));
    const bool on_gpu = gpu && i == 0;
    spec.accelerator =
        on_gpu ? Accelerator::kGpu : (rng_.Below(2) == 0 ? Accelerator::kCpu : Accelerator::kAny);
    spec.ranks = static_cast<int>(
        1 + rng_.Below(static_cast<uint64_t>(on_gpu ? 2 : std::min(most_slots, 4))));
    After(Between(0, 20 * kSecond),
          [this, id = "s" + std::to_string(i), spec] { coordinator_->Submit(id, spec); });
  }
}

void Simulation::ScheduleFaults() {
  faults_ = true;
  // How hard it is this time: mean seconds between faults.
  const TimeMicros calm = kSecond * static_cast<TimeMicros>(1) << rng_.Below(6);
  TimeMicros at = 0;
  while ((at += Between(0, 2 * calm)) < kFaultsEnd) {
    const int victim = static_cast<int>(rng_.Below(agents_.size()));
    switch (kind_ == Faults::kCoordinatorOnly ? 0 : rng_.Below(8)) {
      case 0:
        After(at, [this] { coordinator_->Crash(); });
        break;
      case 1:
        After(at, [this, victim] { agent(victim).Crash(); });
        break;
      case 2:
      case 3:
        After(at, [this, victim] { agent(victim).CrashATrainer(); });
        break;
      case 4:
        After(at, [this, victim, length = Between(0, 12 * kSecond)] {
          agent(victim).Partition(length);
        });
        break;
      case 5:
      case 6:
        After(at, [this] { coordinator_->ReplaySomething(); });
        break;
      case 7:
        if (rng_.Below(2) == 0) After(at, [this, victim] { agent(victim).Drain(); });
        if (rng_.Below(6) == 0) After(at, [this] { coordinator_->StopSomething(); });
        break;
    }
  }
  After(kFaultsEnd, [this] {
    faults_ = false;
    Trace("# no more faults");
  });
}

void Simulation::RunUntil(TimeMicros end, const std::function<bool()>& done) {
  while (failure_.empty() && !actions_.empty() && actions_.top().at <= end) {
    if (done()) return;
    // The queue gives const access only; the action is taken out before it runs,
    // as it may add others.
    Action action = std::move(const_cast<Action&>(actions_.top()));
    actions_.pop();
    now_ = action.at;
    action.run();
  }
}

std::string Simulation::Run() {
  MakeCluster();
  ScheduleFaults();
  RunUntil(kFaultsEnd, [] { return false; });
  RunUntil(kFaultsEnd + kPatience, [&] { return CheckEnd().empty(); });
  if (failure_.empty()) failure_ = CheckEnd();
  if (trace_) Print("\n" + DebugString(coordinator_->state()));
  return failure_;
}

// Once nothing fails any more everything comes to its end, and well unless a
// budget was used up or somebody stopped it.
std::string Simulation::CheckEnd() {
  if (faults_ || !coordinator_->up()) return "the coordinator is not up";
  const ClusterState& state = coordinator_->state();
  if (state.sweeps.empty()) return "no sweep was submitted";
  for (const auto& [id, sweep] : state.sweeps) {
    if (!HasEnded(sweep.state)) return "sweep " + id + " never ends";
  }
  for (const auto& [id, worker] : state.workers) {
    for (const Slot& slot : worker.slots) {
      if (slot.state != SlotState::kIdle && slot.state != SlotState::kLost) {
        return "a slot of " + id + " never gets idle";
      }
    }
  }
  for (const auto& one : agents_) {
    if (one->live() > 0) return one->id() + " still runs a trainer";
    const auto worker = state.workers.find(one->id());
    if (worker == state.workers.end() || worker->second.lost)
      return one->id() + " never comes back";
  }
  for (const auto& [id, trial] : state.trials) {
    if (kind_ == Faults::kCoordinatorOnly && trial.attempt != 1) return id + " was run again";
    const RetryBudget& retry = state.sweeps.at(trial.sweep_id).spec.retry;
    if (trial.state == TrialState::kStopped && !trial.stop_requested)
      return id + " was stopped by nobody";
    if (trial.state != TrialState::kFailed) continue;
    const bool used_up = (trial.failure == FailureKind::kUserError &&
                          trial.user_error_retries == retry.user_error) ||
                         (trial.failure == FailureKind::kOutOfMemory &&
                          trial.out_of_memory_retries == retry.out_of_memory) ||
                         (trial.failure == FailureKind::kInfrastructure &&
                          trial.infrastructure_retries == retry.infrastructure);
    if (!used_up || trial.message.empty())
      return id + " failed with restarts left, or without a word";
  }
  return "";
}

std::string Simulation::StateText() const { return DebugString(coordinator_->state()); }

size_t Simulation::events() const { return coordinator_->events(); }

}  // namespace mead::core
