#include "worker/agent/agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_util.h"
#include "common/version.h"
#include "worker/agent/health.h"

namespace mead::agent {
namespace {

// At the end of a stop, and of the grace: for the members' processes, and then for the
// coordinator to take their reports.
constexpr absl::Duration kStopGrace = absl::Seconds(6);
constexpr absl::Duration kFlushGrace = absl::Seconds(1);
// What killing trainers takes of it.
constexpr absl::Duration kKillGrace = absl::Seconds(2);
constexpr char kBeingStopped[] = "the worker is being stopped";

std::string NameOf(const v1::TrialRef& trial, int rank) {
  return absl::StrCat(trial.trial_id(), " attempt ", trial.attempt(), " rank ", rank);
}

bool Same(const v1::TrialRef& a, const v1::TrialRef& b) {
  return a.trial_id() == b.trial_id() && a.attempt() == b.attempt();
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      instance_id_(RandomId("", 20)),
      seed_(std::hash<std::string>{}(instance_id_)) {}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentOptions options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(options)));
  MEAD_RETURN_IF_ERROR(agent->Init());
  return agent;
}

absl::Status Agent::Init() {
  if (access(options_.trainer.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no trainer program at ", options_.trainer.string(),
                     "; install mead-trainer beside mead-worker or give --trainer PATH"));
  }
  MEAD_RETURN_IF_ERROR(MakeDirs(options_.dir));
  const std::filesystem::path lock = options_.dir / "lock";
  lock_ = ScopedFd(open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock_.valid()) return ErrnoStatus(errno, lock.string());
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("another mead-worker uses ",
                                                      options_.dir.string(),
                                                      "; stop it or give this one another --dir"));
  }
  const std::filesystem::path work = options_.dir / "work";
  std::error_code ignored;
  std::filesystem::remove_all(work, ignored);  // of an agent that was killed
  MEAD_RETURN_IF_ERROR(MakeDirs(work));

  // Unix sockets have short paths, and the folder may have a long one.
  std::string pattern = "/tmp/mead-worker-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return ErrnoStatus(errno, pattern);
  socket_dir_ = pattern;

  auto channel = MakeChannel(options_.coordinator);
  artifacts_ = std::make_unique<ArtifactClient>(channel);
  MEAD_ASSIGN_OR_RETURN(cache_, ArtifactCache::Open({.dir = options_.dir / "cache",
                                                     .capacity_bytes = options_.cache_bytes,
                                                     .seed = seed_},
                                                    *artifacts_));
  std::filesystem::path decoded = options_.dir / "cache" / "decoded";
  if (options_.decoded_cache_bytes == 0) {
    std::filesystem::remove_all(decoded, ignored);  // of a time when it was wanted
    decoded.clear();
  }
  TrainerPool::Callbacks callbacks;
  const auto with_member = [this](int slot, const auto& use) {
    if (const auto it = members_.find(slot); it != members_.end()) use(*it->second);
  };
  callbacks.on_ready = [with_member](int slot) {
    with_member(slot, [](Member& member) { member.OnTrainerReady(); });
  };
  callbacks.on_message = [with_member](int slot, const v1::AttachRequest& message) {
    with_member(slot, [&](Member& member) { member.OnTrainerMessage(message); });
  };
  callbacks.on_lines = [this](int slot, std::vector<std::string> lines) {
    if (const auto it = members_.find(slot); it != members_.end()) {
      it->second->OnLines(std::move(lines));
    } else {
      OnLateLines(slot, std::move(lines));
    }
  };
  callbacks.on_ended = [this, with_member](int slot, const std::string& how) {
    if (members_.count(slot) == 0) {
      Log(LogLevel::kWarning, absl::StrCat("the idle trainer of slot ", slot, " is gone: ", how));
    }
    with_member(slot, [&](Member& member) { member.OnTrainerEnded(how); });
  };
  MEAD_ASSIGN_OR_RETURN(trainers_, TrainerPool::Create({.program = options_.trainer,
                                                        .socket = socket_dir_ / "trainer.sock"},
                                                       loop_, std::move(callbacks)));
  context_ = std::make_unique<MemberContext>(MemberContext{
      loop_, outbox_, *trainers_, *cache_, *artifacts_, work, options_.address,
      options_.threads_per_slot, options_.gpu, seed_, decoded, options_.decoded_cache_bytes});
  SessionHandlers handlers;
  handlers.registration = [this] { return Registration(); };
  handlers.on_message = [this](const v1::SessionResponse& message) {
    loop_.Post([this, message] { OnMessage(message); });
  };
  session_ = std::make_unique<Session>(
      SessionOptions{.channel = channel, .coordinator = options_.coordinator, .seed = seed_},
      std::move(handlers), outbox_);
  return absl::OkStatus();
}

Agent::~Agent() {
  session_thread_ = {};
  members_.clear();
  trainers_.reset();
  std::error_code ignored;
  if (!socket_dir_.empty()) std::filesystem::remove_all(socket_dir_, ignored);
}

absl::Status Agent::Run() {
  session_thread_ = std::jthread([this](std::stop_token stop) {
    absl::Status status = session_->Run(stop);
    if (status.ok()) return;  // stopped
    loop_.Post([this, status = std::move(status)] {
      result_ = status;
      StopNow();
    });
  });
  loop_.Post([this] { RenewHealth(); });
  loop_.Run();
  if (result_.ok()) outbox_.WaitUntilAcked(kFlushGrace);
  session_thread_.request_stop();
  session_thread_.join();
  return result_;
}

void Agent::RequestStop() {
  loop_.Post([this] { draining_ ? StopNow() : Drain(); });
}

void Agent::Drain() {
  const absl::Duration grace = options_.grace - kKillGrace - kFlushGrace;
  // Without a coordinator there is nobody to save for.
  if (members_.empty() || !session_->open() || grace <= absl::ZeroDuration()) return StopNow();
  draining_ = true;
  Log(LogLevel::kInfo, absl::StrCat(members_.size(), " trainers have ", absl::FormatDuration(grace),
                                    " to save what they trained"));
  session_->SetDraining();
  loop_.PostAfter(grace, [this] { StopNow(); });
  for (const auto& [slot, member] : members_) member->Yield(kBeingStopped, grace);
}

void Agent::StopNow() {
  if (std::exchange(stopping_, true)) return;
  draining_ = true;
  session_->SetDraining();
  EndAllMembers(kBeingStopped, v1::FAILURE_KIND_PREEMPTED);
  loop_.PostAfter(kStopGrace, [this] { loop_.Stop(); });
  StopIfIdle();
}

void Agent::StopIfIdle() {
  if (draining_ && members_.empty()) loop_.Stop();
}

void Agent::RenewHealth() {
  WriteHealth(options_.dir, session_->open());
  loop_.PostAfter(kHealthPeriod, [this] { RenewHealth(); });
}

v1::RegisterWorker Agent::Registration() {
  v1::RegisterWorker registration;
  registration.set_worker_id(options_.name);
  registration.set_instance_id(instance_id_);
  registration.set_protocol_version(options_.protocol_version);
  registration.set_version(kVersion);
  registration.set_address(options_.address);
  registration.set_slots(options_.slots);
  registration.set_accelerator(options_.gpu ? "gpu" : "cpu");
  registration.set_device(options_.device);
  absl::MutexLock lock(&held_mutex_);
  for (const Held& held : held_) {
    v1::Member& member = *registration.add_members();
    member = held.member;
    member.set_ended(held.exit_sequence > 0);
  }
  return registration;
}

Member* Agent::FindMember(const v1::TrialRef& trial, int rank) {
  for (const auto& [slot, member] : members_) {
    if (Same(member->assign().trial(), trial) && member->assign().rank() == rank) {
      return member.get();
    }
  }
  return nullptr;
}

void Agent::OnMessage(const v1::SessionResponse& message) {
  switch (message.message_case()) {
    case v1::SessionResponse::kRegistered: {
      Log(LogLevel::kInfo,
          absl::StrCat("registered with the coordinator at ", options_.coordinator, " as '",
                       options_.name, "', incarnation ", message.registered().incarnation()));
      for (const v1::Member& stale : message.registered().stale_members()) {
        EndMember(stale.trial(), stale.rank(), "its attempt was over when the worker came back");
      }
      const uint64_t acked = message.registered().acked_sequence();
      absl::MutexLock lock(&held_mutex_);
      std::erase_if(held_, [&](const Held& held) {
        return held.exit_sequence > 0 && held.exit_sequence <= acked;
      });
      break;
    }
    case v1::SessionResponse::kAssign:
      OnAssign(message.assign());
      break;
    case v1::SessionResponse::kGo:
      if (Member* const member = FindMember(message.go().trial(), message.go().rank())) {
        member->Go(message.go().rendezvous());
      }
      break;
    case v1::SessionResponse::kAbort:
      EndMember(message.abort().trial(), message.abort().rank(), message.abort().reason());
      break;
    case v1::SessionResponse::kAck: {
      const uint64_t acked = message.ack().sequence();
      absl::MutexLock lock(&held_mutex_);
      std::erase_if(held_, [&](const Held& held) {
        return held.exit_sequence > 0 && held.exit_sequence <= acked;
      });
      break;
    }
    case v1::SessionResponse::kFenced:
      Log(LogLevel::kWarning, absl::StrCat("fenced: ", message.fenced().reason()));
      EndAllMembers(absl::StrCat("the worker was fenced: ", message.fenced().reason()));
      break;
    default:
      break;
  }
}

void Agent::OnAssign(const v1::Assign& assign) {
  const std::string name = NameOf(assign.trial(), assign.rank());
  if (FindMember(assign.trial(), assign.rank()) != nullptr) return;  // said twice
  // Its exit has been reported, and it goes with the loop's next task.
  if (const auto it = members_.find(assign.slot()); it != members_.end() && it->second->ended()) {
    loop_.Post([this, assign] { OnAssign(assign); });
    return;
  }
  const bool bad = assign.slot() < 0 || assign.slot() >= options_.slots ||
                   assign.trial().trial_id().find('/') != std::string::npos;
  if (bad || draining_ || members_.count(assign.slot()) > 0) {
    return ReportExited(assign.trial(), assign.rank(),
                        draining_ ? v1::FAILURE_KIND_PREEMPTED : v1::FAILURE_KIND_INFRASTRUCTURE,
                        bad ? absl::StrCat("worker '", options_.name, "' has ", options_.slots,
                                           " slots, not slot ", assign.slot())
                        : draining_ ? kBeingStopped
                                    : absl::StrCat("slot ", assign.slot(), " of worker '",
                                                   options_.name, "' is in use"));
  }
  Log(LogLevel::kInfo,
      absl::StrCat("slot ", assign.slot(), " takes ", name, " of ", assign.world_size()));
  const int slot = assign.slot();
  auto& member = members_[slot];
  member = std::make_unique<Member>(
      *context_, assign, [this, slot](uint64_t sequence) { OnMemberEnded(slot, sequence); });
  {
    absl::MutexLock lock(&held_mutex_);
    held_.push_back({member->AsHeld(), 0});
  }
  member->Start();
}

void Agent::EndMember(const v1::TrialRef& trial, int rank, const std::string& reason) {
  if (Member* const member = FindMember(trial, rank)) {
    Log(LogLevel::kInfo, absl::StrCat(NameOf(trial, rank), " is ended: ", reason));
    return member->Abort(reason);
  }
  {
    absl::MutexLock lock(&held_mutex_);
    for (const Held& held : held_) {
      // Its end is on the way already.
      if (Same(held.member.trial(), trial) && held.member.rank() == rank) return;
    }
  }
  // The coordinator waits for the end of something that is not here.
  ReportExited(trial, rank, v1::FAILURE_KIND_INFRASTRUCTURE, reason);
}

void Agent::EndAllMembers(const std::string& reason, v1::FailureKind kind) {
  for (const auto& [slot, member] : members_) member->Abort(reason, kind);
}

void Agent::OnLateLines(int slot, std::vector<std::string> lines) {
  const auto last = last_members_.find(slot);
  if (last == last_members_.end()) {
    for (const std::string& line : lines) {
      Log(LogLevel::kInfo, absl::StrCat("trainer of slot ", slot, ": ", line));
    }
    return;
  }
  // A pipe may be slower than the news of the end; an attempt's last words are
  // the most wanted of all.
  v1::Report report;
  *report.mutable_trial() = last->second.trial();
  report.set_rank(last->second.rank());
  for (std::string& line : lines) {
    *report.mutable_logs()->add_lines() = MakeLogLine(last->second, std::move(line));
  }
  if (!outbox_.AddLogs(std::move(report))) {
    Log(LogLevel::kWarning, absl::StrCat(lines.size(), " late log lines were dropped"));
  }
}

void Agent::ReportExited(const v1::TrialRef& trial, int rank, v1::FailureKind kind,
                         const std::string& message) {
  v1::Report report;
  *report.mutable_trial() = trial;
  report.set_rank(rank);
  report.mutable_exited()->set_kind(kind);
  report.mutable_exited()->set_message(message);
  outbox_.Add(std::move(report));
}

void Agent::OnMemberEnded(int slot, uint64_t exit_sequence) {
  const auto it = members_.find(slot);
  if (it == members_.end()) return;
  const v1::Member ended = it->second->AsHeld();
  Log(LogLevel::kInfo,
      absl::StrCat("slot ", slot, " is free of ", NameOf(ended.trial(), ended.rank())));
  {
    absl::MutexLock lock(&held_mutex_);
    for (Held& held : held_) {
      if (Same(held.member.trial(), ended.trial()) && held.member.rank() == ended.rank()) {
        held.exit_sequence = exit_sequence;
      }
    }
    // The acknowledgement may have been quicker than this task.
    std::erase_if(held_, [&](const Held& held) {
      return held.exit_sequence > 0 && outbox_.IsAcked(held.exit_sequence);
    });
  }
  // Destroyed by a task of its own: this one may run inside the member's call.
  loop_.Post([member = std::shared_ptr<Member>(std::move(it->second))] {});
  members_.erase(it);
  last_members_[slot] = ended;
  StopIfIdle();
}

}  // namespace mead::agent
