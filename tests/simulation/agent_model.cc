#include "tests/simulation/agent_model.h"

#include <cmath>

#include "coordinator/core/debug_string.h"

namespace mead::core {
namespace {

constexpr int kEpochs = 3;

}  // namespace

AgentModel::AgentModel(Simulation& simulation, int index, int slots, Accelerator accelerator)
    : simulation_(simulation),
      index_(index),
      id_("w" + std::to_string(index)),
      slots_(slots),
      accelerator_(accelerator) {}

void AgentModel::Boot() {
  up_ = true;
  draining_ = false;
  ++boot_;
  next_sequence_ = 1;
  simulation_.Trace("# ", id_, " boots");
  Connect();
}

void AgentModel::Crash() {
  if (!up_) return;
  simulation_.Trace("# ", id_, " is killed");
  up_ = false;
  registered_ = false;
  for (const auto& [key, process] : processes_) {
    if (!process.ended) simulation_.collective(process.trial).broken = true;
  }
  processes_.clear();
  outbox_.clear();
  if (stream_ != nullptr) {
    stream_->agent_open = false;
    simulation_.Cut(stream_);
    stream_ = nullptr;
  }
  // Sometimes back before its lease has run out.
  simulation_.After(simulation_.Between(100 * kMillisecond, 10 * kSecond), [this] { Boot(); });
}

void AgentModel::Drain() {
  if (!up_ || draining_) return;
  simulation_.Trace("# ", id_, " gets SIGTERM");
  draining_ = true;
  SayDraining();
  for (auto& [key, process] : processes_) {
    if (process.ended) continue;
    Collective& collective = simulation_.collective(process.trial);
    if (process.started && collective.started == process.world_size) {
      collective.yields = true;
    } else {
      End(key, false, FailureKind::kPreempted, "the worker is being stopped");
    }
  }
  LeaveWhenIdle(simulation_.now() + 8 * kSecond);
}

void AgentModel::SayDraining() {
  if (!draining_ || !registered_) return;
  simulation_.SendUp(stream_,
                     [this, stream = stream_] { simulation_.coordinator().OnDraining(stream); });
}

void AgentModel::LeaveWhenIdle(TimeMicros latest) {
  simulation_.After(200 * kMillisecond, [this, latest, boot = boot_] {
    if (!up_ || boot != boot_) return;
    if (simulation_.now() < latest && (live() > 0 || !outbox_.empty())) {
      return LeaveWhenIdle(latest);
    }
    Crash();
  });
}

void AgentModel::Yield(const Key& key, int epochs_done) {
  const Process& process = processes_.at(key);
  if (process.rank == 0) {
    Post(
        CheckpointSaved{.worker = WorkerRef(),
                        .trial = process.trial,
                        .epoch = epochs_done,
                        .digest = process.trial.trial_id + "@" + std::to_string(epochs_done) + "+1",
                        .size_bytes = 1,
                        .step = 1});
  }
  End(key, false, FailureKind::kPreempted, "asked to end", /*yielded=*/true);
}

void AgentModel::CrashATrainer() {
  if (live() == 0) return;
  uint64_t chosen = simulation_.rng().Below(live());
  for (auto& [key, process] : processes_) {
    if (process.ended || chosen-- != 0) continue;
    const uint64_t kind = simulation_.rng().Below(10);
    return End(key, false,
               kind == 0   ? FailureKind::kUserError
               : kind == 1 ? FailureKind::kOutOfMemory
                           : FailureKind::kInfrastructure,
               "the trainer died");
  }
}

void AgentModel::Partition(TimeMicros length) {
  partitioned_until_ = simulation_.now() + length;
  simulation_.Trace("# ", id_, " is cut off");
  if (stream_ != nullptr) simulation_.Cut(stream_);
}

size_t AgentModel::live() const {
  size_t count = 0;
  for (const auto& [key, process] : processes_) count += !process.ended;
  return count;
}

void AgentModel::Connect() {
  if (!up_ || stream_ != nullptr) return;
  if (!simulation_.coordinator().up() || simulation_.now() < partitioned_until_) {
    simulation_.After(simulation_.Between(200 * kMillisecond, kSecond), [this, boot = boot_] {
      if (boot == boot_) Connect();
    });
    return;
  }
  stream_ = std::make_shared<Stream>();
  stream_->agent = index_;
  stream_->instance_id = id_ + "/" + std::to_string(boot_);
  registered_ = false;
  std::vector<HeldMember> held;
  for (const auto& [key, process] : processes_) {
    held.push_back({process.trial, process.rank, process.slot, process.ended});
  }
  simulation_.SendUp(stream_, [this, stream = stream_, held] {
    simulation_.coordinator().OnRegister(stream, id_, slots_, accelerator_, held);
  });
}

void AgentModel::OnRegistered(const StreamPtr& stream, uint64_t acked) {
  if (stream != stream_) return;
  registered_ = true;
  OnAck(stream, acked);
  SayDraining();
  for (const Report& report : outbox_) Send(report);
}

void AgentModel::OnAck(const StreamPtr& stream, uint64_t acked) {
  if (stream != stream_) return;
  while (!outbox_.empty() && outbox_.front().sequence <= acked) outbox_.pop_front();
  std::erase_if(processes_, [acked](const auto& entry) {
    return entry.second.ended && entry.second.exit_sequence <= acked;
  });
}

void AgentModel::OnStreamEnd(const StreamPtr& stream) {
  stream->agent_open = false;
  if (stream != stream_) return;
  stream_ = nullptr;
  registered_ = false;
  simulation_.After(simulation_.Between(50 * kMillisecond, kSecond), [this, boot = boot_] {
    if (boot == boot_) Connect();
  });
}

void AgentModel::Send(const Report& report) {
  const int copies = simulation_.Fault(0.1) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    simulation_.SendUp(stream_, [this, stream = stream_, report] {
      simulation_.coordinator().OnReport(stream, report);
    });
  }
}

void AgentModel::Post(decltype(Report::body) body) {
  outbox_.push_back({next_sequence_++, std::move(body)});
  if (registered_) Send(outbox_.back());
}

void AgentModel::OnCommand(const StreamPtr& stream, const Command& command) {
  if (stream != stream_) return;
  if (!registered_) return simulation_.Fail("a command before the worker was registered");
  if (const auto* assign = std::get_if<AssignMember>(&command)) return Assign(*assign);
  if (const auto* start = std::get_if<StartMember>(&command)) return Start(*start);
  if (const auto* abort = std::get_if<AbortMember>(&command)) {
    const auto it = processes_.find(KeyOf(abort->trial, abort->rank));
    if (it != processes_.end()) Kill(it->second);
    return;
  }
  // Fenced: everything ends, and the agent comes as if for the first time.
  for (auto& [key, process] : processes_) Kill(process);
  simulation_.Cut(stream);
}

void AgentModel::Assign(const AssignMember& command) {
  const Key key = KeyOf(command.trial, command.rank);
  if (processes_.contains(key))
    return simulation_.Fail("assigned twice: " + DebugString(Command(command)));
  for (const auto& [other, process] : processes_) {
    if (process.slot == command.slot && !process.ended) {
      return simulation_.Fail("a slot was given to two members: " + DebugString(Command(command)));
    }
  }
  if (draining_) {
    Process refused;
    refused.trial = command.trial;
    refused.rank = command.rank;
    refused.slot = command.slot;
    processes_.emplace(key, refused);
    return End(key, false, FailureKind::kPreempted, "the worker is being stopped");
  }
  Process process;
  process.trial = command.trial;
  process.rank = command.rank;
  process.world_size = command.world_size;
  process.slot = command.slot;
  process.resume_epoch = command.resume_epoch;
  processes_.emplace(key, process);
  if (simulation_.AgentFault(0.03)) return;  // hangs: the start timeout is there for it
  AfterFor(simulation_.Between(100 * kMillisecond, 3 * kSecond), key, [this](Process& p) {
    p.ready = true;
    Post(MemberReady{.worker = WorkerRef(),
                     .trial = p.trial,
                     .rank = p.rank,
                     .rendezvous = p.rank == 0 ? id_ + ":" + std::to_string(p.trial.attempt) : ""});
  });
}

void AgentModel::Start(const StartMember& command) {
  const auto it = processes_.find(KeyOf(command.trial, command.rank));
  if (it == processes_.end() || it->second.started) return;
  if (!it->second.ready) return simulation_.Fail("started before it was ready");
  if (command.rendezvous.empty()) return simulation_.Fail("started without a rendezvous");
  it->second.started = true;
  ++simulation_.collective(command.trial).started;
  EpochsFrom(it->first, it->second.resume_epoch + 1);
}

// Each rank counts epochs for itself; the collective keeps them together only
// roughly, which is the harder case for the coordinator.
void AgentModel::EpochsFrom(const Key& key, int epoch) {
  AfterFor(
      simulation_.Between(200 * kMillisecond, 2 * kSecond), key, [this, key, epoch](Process& p) {
        if (epoch > kEpochs) return End(key, true, FailureKind::kNone, "");
        const Collective& collective = simulation_.collective(p.trial);
        if (collective.broken && simulation_.rng().Below(4) == 0) {
          return End(key, false, FailureKind::kInfrastructure, "connection reset by peer");
        }
        if (collective.yields && !collective.broken) return Yield(key, epoch - 1);
        // Waits for ranks that start later, or hangs because one has gone.
        if (collective.broken || collective.started < p.world_size) return EpochsFrom(key, epoch);
        if (p.rank == 0) {
          const double objective = simulation_.rng().Below(10) == 0
                                       ? NAN
                                       : std::round(simulation_.rng().NextDouble() * 8) / 8;
          Post(EpochReported{
              .worker = WorkerRef(), .trial = p.trial, .epoch = epoch, .objective = objective});
          Post(CheckpointSaved{.worker = WorkerRef(),
                               .trial = p.trial,
                               .epoch = epoch,
                               .digest = p.trial.trial_id + "@" + std::to_string(epoch),
                               .size_bytes = 1});
        }
        EpochsFrom(key, epoch + 1);
      });
}

void AgentModel::Kill(Process& process) {
  if (process.ended || process.dying) return;
  process.dying = true;
  simulation_.collective(process.trial).broken = true;
  AfterFor(simulation_.Between(10 * kMillisecond, 2 * kSecond), KeyOf(process.trial, process.rank),
           [this](Process& p) {
             End(KeyOf(p.trial, p.rank), false, FailureKind::kNone, "ended by SIGTERM");
           });
}

void AgentModel::End(const Key& key, bool succeeded, FailureKind kind, const std::string& message,
                     bool yielded) {
  Process& process = processes_.at(key);
  process.ended = true;
  if (!succeeded && !yielded) simulation_.collective(process.trial).broken = true;
  process.exit_sequence = next_sequence_;
  Post(MemberExited{.worker = WorkerRef(),
                    .trial = process.trial,
                    .rank = process.rank,
                    .succeeded = succeeded,
                    .kind = kind,
                    .message = message,
                    .yielded = yielded});
}

void AgentModel::AfterFor(TimeMicros delay, const Key& key, std::function<void(Process&)> action) {
  simulation_.After(delay, [this, key, boot = boot_, action = std::move(action)] {
    if (!up_ || boot != boot_) return;
    const auto it = processes_.find(key);
    if (it != processes_.end() && !it->second.ended) action(it->second);
  });
}

}  // namespace mead::core
