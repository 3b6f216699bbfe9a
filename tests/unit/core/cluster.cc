#include "tests/unit/core/cluster.h"

#include <map>

#include "coordinator/core/transitions.h"

namespace mead::core {
namespace {

// Trials, sweeps and slots by name: what a transcript shows changes of.
std::map<std::string, std::string> StatesOf(const ClusterState& state) {
  std::map<std::string, std::string> states;
  for (const auto& [id, trial] : state.trials) states["trial " + id] = Name(trial.state);
  for (const auto& [id, sweep] : state.sweeps) states["sweep " + id] = Name(sweep.state);
  for (const auto& [id, worker] : state.workers) {
    for (size_t i = 0; i < worker.slots.size(); ++i) {
      states["slot " + id + "/" + std::to_string(i)] = Name(worker.slots[i].state);
    }
  }
  return states;
}

std::map<std::string, std::string> MessagesOf(const ClusterState& state) {
  std::map<std::string, std::string> messages;
  for (const auto& [id, trial] : state.trials) messages["trial " + id] = trial.message;
  for (const auto& [id, sweep] : state.sweeps) messages["sweep " + id] = sweep.message;
  return messages;
}

}  // namespace

SweepSpec SpecOf(int trials, int ranks) {
  SweepSpec spec;
  spec.name = "test";
  spec.dataset = "kvasir";
  spec.objective_metric = "val/accuracy";
  spec.trials = trials;
  spec.ranks = ranks;
  spec.epochs = 3;
  spec.space = {{"optimizer.lr", LogUniformRange{1e-4, 1e-1}}};
  return spec;
}

Cluster::Cluster() {
  Do(DatasetCreated{
      .name = "kvasir", .manifest_digest = "sha256:0", .train_samples = 80, .encoded = ""});
}

const std::vector<Command>& Cluster::Do(decltype(Event::body) body) {
  const auto states = StatesOf(state);
  const auto messages = MessagesOf(state);
  journal.push_back({now, std::move(body)});
  commands = Step(state, journal.back());

  transcript += "> " + DebugString(journal.back()) + "\n";
  for (const auto& [name, text] : StatesOf(state)) {
    const auto before = states.find(name);
    if (before == states.end()) {
      transcript += "  " + name + ": " + text + "\n";
    } else if (before->second != text) {
      transcript += "  " + name + ": " + before->second + " -> " + text + "\n";
    }
  }
  for (const auto& [name, text] : MessagesOf(state)) {
    const auto before = messages.find(name);
    if (!text.empty() && (before == messages.end() || before->second != text)) {
      transcript += "  " + name + " says: " + text + "\n";
    }
  }
  for (const Command& command : commands) transcript += "  < " + DebugString(command) + "\n";
  return commands;
}

void Cluster::PassNextDeadline() {
  const auto deadline = NextDeadline(state);
  ASSERT_TRUE(deadline.has_value()) << "nothing waits for time";
  now = std::max(now, *deadline);
  Do(Tick{});
}

WorkerRef Cluster::Register(const std::string& id, int slots, const std::string& instance,
                            Accelerator accelerator, std::vector<HeldMember> held) {
  Do(WorkerRegistered{.worker_id = id,
                      .instance_id = instance,
                      .address = "10.0.0.1",
                      .version = "0.1.0",
                      .accelerator = accelerator,
                      .device = "test",
                      .slots = slots,
                      .held = std::move(held)});
  return {id, state.workers.at(id).incarnation};
}

void Cluster::Submit(const std::string& id, SweepSpec spec) {
  Do(SweepSubmitted{.sweep_id = id, .request_id = "request-" + id, .spec = std::move(spec)});
}

void Cluster::Ready(const std::string& id, int rank) {
  Do(MemberReady{.worker = trial(id).gang.at(static_cast<size_t>(rank)).worker,
                 .trial = Ref(id),
                 .rank = rank,
                 .rendezvous = rank == 0 ? "10.0.0.1:1234" : ""});
}

void Cluster::AllReady(const std::string& id) {
  for (size_t rank = 0; rank < trial(id).gang.size(); ++rank) Ready(id, static_cast<int>(rank));
}

void Cluster::Report(const std::string& id, int epoch, double objective) {
  Do(EpochReported{.worker = trial(id).gang.at(0).worker,
                   .trial = Ref(id),
                   .epoch = epoch,
                   .objective = objective});
}

void Cluster::Save(const std::string& id, int epoch, int64_t step) {
  Do(CheckpointSaved{
      .worker = trial(id).gang.at(0).worker,
      .trial = Ref(id),
      .epoch = epoch,
      .digest = "sha256:" + std::to_string(epoch) + (step > 0 ? "+" + std::to_string(step) : ""),
      .size_bytes = 100,
      .step = step});
}

void Cluster::Exit(const std::string& id, int rank) {
  Do(MemberExited{.worker = trial(id).gang.at(static_cast<size_t>(rank)).worker,
                  .trial = Ref(id),
                  .rank = rank,
                  .succeeded = true,
                  .kind = FailureKind::kNone,
                  .message = ""});
}

void Cluster::Fail(const std::string& id, int rank, FailureKind kind, const std::string& message) {
  Do(MemberExited{.worker = trial(id).gang.at(static_cast<size_t>(rank)).worker,
                  .trial = Ref(id),
                  .rank = rank,
                  .succeeded = false,
                  .kind = kind,
                  .message = message});
}

void Cluster::ExitAborted(const std::string& id, int rank) {
  Fail(id, rank, FailureKind::kNone, "ended by SIGTERM");
}

void Cluster::RunToSuccess(const std::string& id, double objective) {
  AllReady(id);
  Report(id, 1, objective);
  const size_t ranks = trial(id).gang.size();
  for (size_t rank = 0; rank < ranks; ++rank) Exit(id, static_cast<int>(rank));
}

const Slot& Cluster::slot(const std::string& worker, int slot) const {
  return state.workers.at(worker).slots.at(static_cast<size_t>(slot));
}

}  // namespace mead::core
