#include "tests/simulation/coordinator_model.h"

#include "coordinator/core/debug_string.h"
#include "tests/simulation/agent_model.h"
#include "tests/simulation/invariants.h"

namespace mead::core {

CoordinatorModel::CoordinatorModel(Simulation& simulation, Config config)
    : simulation_(simulation), crash_probability_(simulation.rng().Below(2) == 0 ? 0 : 0.002) {
  Apply(Configured{config});
  Apply(
      DatasetCreated{.name = "kvasir", .manifest_digest = "m", .train_samples = 80, .encoded = ""});
}

void CoordinatorModel::Submit(const std::string& sweep_id, const SweepSpec& spec) {
  if (state_.sweeps.contains(sweep_id)) return;
  // The user's client tries again until it knows that it has been heard.
  if (up_) Apply(SweepSubmitted{sweep_id, "request-" + sweep_id, spec});
  simulation_.After(kSecond, [this, sweep_id, spec] { Submit(sweep_id, spec); });
}

void CoordinatorModel::StopSomething() {
  if (!up_ || state_.trials.empty()) return;
  auto it = state_.trials.begin();
  std::advance(it, simulation_.rng().Below(state_.trials.size()));
  if (simulation_.rng().Below(4) == 0) {
    Apply(SweepStopRequested{it->second.sweep_id});
  } else {
    Apply(TrialStopRequested{it->first});
  }
}

void CoordinatorModel::OnRegister(const StreamPtr& stream, const std::string& worker_id, int slots,
                                  Accelerator accelerator, const std::vector<HeldMember>& held) {
  if (!up_) return simulation_.Cut(stream);
  if (const auto old = streams_.find(worker_id); old != streams_.end()) {
    // What is under way on the old stream may still come, or not.
    if (simulation_.rng().Below(2) == 0) old->second->coordinator_open = false;
    streams_.erase(old);
  }
  stream->coordinator_open = true;
  streams_[worker_id] = stream;
  registering_ = stream;
  const bool alive = Apply(WorkerRegistered{.worker_id = worker_id,
                                            .instance_id = stream->instance_id,
                                            .address = "10.0.0.1",
                                            .version = "0.1.0",
                                            .accelerator = accelerator,
                                            .device = "model",
                                            .slots = slots,
                                            .held = held});
  registering_ = nullptr;
  if (!alive) return;
  last_heard_[worker_id] = simulation_.now();
}

void CoordinatorModel::OnReport(const StreamPtr& stream, const Report& report) {
  if (!up_ || !stream->coordinator_open) return;
  const std::string worker_id = simulation_.agent(stream->agent).id();
  const WorkerRef worker{worker_id, stream->incarnation};
  last_heard_[worker_id] = simulation_.now();
  uint64_t& cursor = cursors_[stream->instance_id];
  if (report.sequence > cursor) {
    if (report.sequence != cursor + 1) simulation_.Fail("a report was skipped");
    pending_cursor_ = {stream->instance_id, report.sequence};
    const bool alive = std::visit(
        [&](auto body) {
          body.worker = worker;
          return Apply(body);
        },
        report.body);
    if (!alive) return;
  }
  const uint64_t acked = cursor;
  simulation_.SendDown(
      stream, [this, stream, acked] { simulation_.agent(stream->agent).OnAck(stream, acked); });
}

void CoordinatorModel::OnDraining(const StreamPtr& stream) {
  if (!up_ || !stream->coordinator_open) return;
  const std::string worker_id = simulation_.agent(stream->agent).id();
  last_heard_[worker_id] = simulation_.now();
  Apply(WorkerDraining{{worker_id, stream->incarnation}});
}

void CoordinatorModel::OnStreamEnd(const StreamPtr& stream) {
  if (!stream->coordinator_open) return;
  stream->coordinator_open = false;
  const std::string& worker_id = simulation_.agent(stream->agent).id();
  const auto current = streams_.find(worker_id);
  if (current == streams_.end() || current->second != stream) return;
  streams_.erase(current);
  ArmLease(worker_id);
}

void CoordinatorModel::ArmLease(const std::string& worker_id) {
  last_heard_[worker_id] = simulation_.now();
  simulation_.After(kLease, [this, worker_id, boot = boot_] {
    if (!up_ || boot != boot_ || streams_.contains(worker_id)) return;
    if (simulation_.now() - last_heard_[worker_id] < kLease) return;
    const auto worker = state_.workers.find(worker_id);
    if (worker == state_.workers.end() || worker->second.lost) return;
    Apply(WorkerLost{{worker_id, worker->second.incarnation}, "no heartbeat for 4 s"});
  });
}

bool CoordinatorModel::Apply(decltype(Event::body) body) {
  if (simulation_.Fault(crash_probability_)) {
    Crash();  // before the transaction: nothing has happened
    return false;
  }
  const ClusterState before = state_;
  journal_.push_back({simulation_.now(), std::move(body)});
  if (!pending_cursor_.first.empty()) cursors_[pending_cursor_.first] = pending_cursor_.second;
  pending_cursor_ = {};
  simulation_.Trace("> ", DebugString(journal_.back()));
  const std::vector<Command> commands = Step(state_, journal_.back());
  for (const Command& command : commands) simulation_.Trace("  < ", DebugString(command));
  std::string broken = BrokenInvariant(state_);
  if (broken.empty()) broken = BrokenStep(before, state_, commands);
  if (!broken.empty()) simulation_.Fail(broken + "\nafter " + DebugString(journal_.back()));
  if (simulation_.rng().Below(50) == 0) {
    snapshot_ = state_;
    snapshot_events_ = journal_.size();
  }
  if (simulation_.Fault(crash_probability_)) {
    Crash();  // after the transaction, before anybody is told
    return false;
  }
  Deliver(commands);
  ArmTick();
  return true;
}

void CoordinatorModel::Deliver(const std::vector<Command>& commands) {
  if (registering_ != nullptr) {
    // The worker learns its incarnation before any command of it.
    AgentModel& agent = simulation_.agent(registering_->agent);
    registering_->incarnation = state_.workers.at(agent.id()).incarnation;
    simulation_.SendDown(
        registering_, [&agent, stream = registering_, acked = cursors_[registering_->instance_id]] {
          agent.OnRegistered(stream, acked);
        });
  }
  for (const Command& command : commands) {
    const WorkerRef& worker =
        std::visit([](const auto& c) -> const WorkerRef& { return c.worker; }, command);
    const auto stream = streams_.find(worker.worker_id);
    // A command for a stream that is gone is lost; Step() makes up for it when
    // the worker registers again.
    if (stream == streams_.end() || stream->second->incarnation != worker.incarnation) continue;
    simulation_.SendDown(stream->second, [this, to = stream->second, command] {
      simulation_.agent(to->agent).OnCommand(to, command);
    });
  }
}

void CoordinatorModel::ArmTick() {
  const auto deadline = NextDeadline(state_);
  if (!deadline || *deadline == tick_at_) return;
  tick_at_ = *deadline;
  simulation_.After(std::max<TimeMicros>(0, *deadline - simulation_.now()),
                    [this, boot = boot_, at = *deadline] {
                      if (!up_ || boot != boot_ || tick_at_ != at) return;
                      tick_at_ = 0;
                      Apply(Tick{});
                    });
}

void CoordinatorModel::Crash() {
  if (!up_) return;
  simulation_.Trace("# the coordinator is killed");
  up_ = false;
  pending_cursor_ = {};
  registering_ = nullptr;
  for (auto& [id, stream] : streams_) {
    stream->coordinator_open = false;
    simulation_.Cut(stream);
  }
  streams_.clear();
  last_heard_.clear();
  simulation_.After(simulation_.Between(100 * kMillisecond, 8 * kSecond), [this] { Restart(); });
}

ClusterState CoordinatorModel::Replay(size_t first, ClusterState from) const {
  for (size_t i = first; i < journal_.size(); ++i) (void)Step(from, journal_[i]);
  return from;
}

void CoordinatorModel::Restart() {
  simulation_.Trace("# the coordinator is back");
  const ClusterState replayed = Replay(snapshot_events_, snapshot_);
  if (!(replayed == state_) || !(Replay(0, {}) == state_)) {
    simulation_.Fail("replay gives another state:\n" + DebugString(replayed) + "instead of\n" +
                     DebugString(state_));
  }
  state_ = replayed;
  up_ = true;
  ++boot_;
  tick_at_ = 0;
  // Nothing is known of the leases, so all start anew.
  for (const auto& [id, worker] : state_.workers) {
    if (!worker.lost) ArmLease(id);
  }
  ArmTick();
}

void CoordinatorModel::ReplaySomething() {
  if (!up_) return;
  const Event& event = journal_[simulation_.rng().Below(journal_.size())];
  const auto is_report = [](const auto& body) {
    using Body = std::decay_t<decltype(body)>;
    return std::is_same_v<Body, MemberReady> || std::is_same_v<Body, EpochReported> ||
           std::is_same_v<Body, CheckpointSaved> || std::is_same_v<Body, MemberExited> ||
           std::is_same_v<Body, WorkerLost> || std::is_same_v<Body, SweepSubmitted>;
  };
  if (std::visit(is_report, event.body)) Apply(decltype(Event::body)(event.body));
}

}  // namespace mead::core
