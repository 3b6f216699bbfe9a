#include "worker/agent/trainer_pool.h"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_util.h"

namespace mead::agent {
namespace {

// Of a trainer's lines, each of one read (64 KiB at most). What comes on top is
// dropped and counted, so that a trainer in a printing loop cannot fill the agent.
constexpr int kMaxPostedBatches = 64;
// A trainer whose stream has broken ends by itself; this long is given to it.
constexpr absl::Duration kCloseGrace = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<TrainerPool>> TrainerPool::Create(TrainerPoolOptions options,
                                                                 EventLoop& loop,
                                                                 Callbacks callbacks) {
  std::unique_ptr<TrainerPool> pool(
      new TrainerPool(std::move(options), loop, std::move(callbacks)));
  MEAD_ASSIGN_OR_RETURN(pool->supervisor_, Supervisor::Create());
  TrainerPool* const self = pool.get();
  TrainerServer::Handlers handlers;
  handlers.on_message = [self](const std::string& token, v1::AttachRequest message,
                               std::function<void()> next) {
    self->loop_.Post([self, token, message = std::move(message), next = std::move(next)] {
      self->OnMessage(token, message);
      next();
    });
  };
  handlers.on_closed = [self](const std::string& token) {
    self->loop_.Post([self, token] { self->OnClosed(token); });
  };
  MEAD_ASSIGN_OR_RETURN(pool->server_,
                        TrainerServer::Create(pool->options_.socket, std::move(handlers)));
  return pool;
}

TrainerPool::TrainerPool(TrainerPoolOptions options, EventLoop& loop, Callbacks callbacks)
    : options_(std::move(options)), loop_(loop), callbacks_(std::move(callbacks)) {}

TrainerPool::~TrainerPool() = default;

TrainerPool::Trainer* TrainerPool::Find(int slot, const std::string& token) {
  const auto it = trainers_.find(slot);
  return it != trainers_.end() && it->second.token == token ? &it->second : nullptr;
}

void TrainerPool::Acquire(int slot) {
  const auto it = trainers_.find(slot);
  if (it == trainers_.end()) {
    const absl::Status status = StartProcess(slot);
    if (!status.ok()) {
      // Not from here: the caller expects its callbacks after this call.
      loop_.Post([this, slot, how = status.ToString()] { callbacks_.on_ended(slot, how); });
    }
    return;
  }
  Trainer& trainer = it->second;
  if (trainer.ending || trainer.closed) {
    trainer.restart = true;  // OnExit goes on from here
    return;
  }
  if (!trainer.attached) {
    trainer.wanted = true;  // OnMessage goes on from here
    return;
  }
  loop_.Post([this, slot, token = trainer.token] {
    Trainer* const same = Find(slot, token);
    if (same != nullptr && !same->ending) callbacks_.on_ready(slot);
  });
}

absl::Status TrainerPool::StartProcess(int slot) {
  Trainer trainer;
  trainer.token = RandomId("", 32);
  trainer.wanted = true;
  ChildOptions child;
  child.argv = {options_.program.string(), "--socket", options_.socket.string(), "--slot",
                absl::StrCat(slot)};
  child.environment = {{"MEAD_TRAINER_TOKEN", trainer.token}};
  // OpenMP's threads spin at barriers by default; where ranks share cores that
  // makes a step many times slower.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    child.environment.emplace_back("OMP_WAIT_POLICY", "PASSIVE");
  }
  struct Flow {
    std::atomic<int> posted{0};  // batches that wait for the loop
    size_t dropped = 0;          // lines; the supervisor's thread only
  };
  child.on_lines = [this, slot, flow = std::make_shared<Flow>()](std::vector<std::string> lines) {
    if (flow->posted >= kMaxPostedBatches) {
      flow->dropped += lines.size();
      return;
    }
    if (flow->dropped > 0) {
      lines.insert(lines.begin(), absl::StrCat("[", std::exchange(flow->dropped, 0),
                                               " lines were dropped: printed faster than they "
                                               "can be taken]"));
    }
    ++flow->posted;
    loop_.Post([this, slot, flow, lines = std::move(lines)]() mutable {
      --flow->posted;
      callbacks_.on_lines(slot, std::move(lines));
    });
  };
  child.on_exit = [this, slot, token = trainer.token](ExitStatus status) {
    loop_.Post([this, slot, token, status] { OnExit(slot, token, status); });
  };
  server_->Expect(trainer.token);
  absl::StatusOr<Supervisor::ChildId> started = supervisor_->Start(std::move(child));
  if (!started.ok()) {
    server_->Forget(trainer.token);
    return started.status();
  }
  trainer.child = *started;
  loop_.PostAfter(options_.hello_timeout, [this, slot, token = trainer.token] {
    Trainer* const same = Find(slot, token);
    if (same == nullptr || same->attached) return;
    End(slot, absl::StrCat("the trainer did not come up within ",
                           absl::FormatDuration(options_.hello_timeout)));
  });
  trainers_[slot] = std::move(trainer);
  return absl::OkStatus();
}

void TrainerPool::Send(int slot, const v1::AttachResponse& response) {
  const auto it = trainers_.find(slot);
  if (it != trainers_.end() && !it->second.ending) server_->Send(it->second.token, response);
}

void TrainerPool::AskToEnd(int slot, absl::Duration grace) {
  const auto it = trainers_.find(slot);
  if (it != trainers_.end()) supervisor_->Terminate(it->second.child, grace);
}

bool TrainerPool::Discard(int slot) {
  if (trainers_.count(slot) == 0) return false;
  trainers_[slot].wanted = trainers_[slot].restart = false;
  End(slot, "the agent ended the trainer");
  return true;
}

void TrainerPool::End(int slot, std::string reason) {
  Trainer& trainer = trainers_[slot];
  if (std::exchange(trainer.ending, true)) return;
  trainer.reason = std::move(reason);
  server_->Forget(trainer.token);
  supervisor_->Kill(trainer.child);
}

void TrainerPool::OnMessage(const std::string& token, const v1::AttachRequest& message) {
  for (auto& [slot, trainer] : trainers_) {
    if (trainer.token != token || trainer.ending) continue;
    if (!message.has_hello()) return callbacks_.on_message(slot, message);
    trainer.attached = true;
    if (std::exchange(trainer.wanted, false)) callbacks_.on_ready(slot);
    return;
  }
}

void TrainerPool::OnClosed(const std::string& token) {
  for (auto& [slot, trainer] : trainers_) {
    if (trainer.token != token) continue;
    trainer.closed = true;
    // Usually the process has ended and OnExit is next, with the better reason.
    loop_.PostAfter(kCloseGrace, [this, slot = slot, token] {
      if (Find(slot, token) != nullptr) End(slot, "the trainer's stream to the agent broke");
    });
    return;
  }
}

void TrainerPool::OnExit(int slot, const std::string& token, ExitStatus status) {
  Trainer* const trainer = Find(slot, token);
  if (trainer == nullptr) return;
  server_->Forget(token);
  std::string how =
      trainer->reason.empty() ? absl::StrCat("the trainer ", status.ToString()) : trainer->reason;
  if (trainer->reason.empty() && status.signal == 9) {
    how += "; if nobody did that, this machine ran out of memory (see dmesg)";
  }
  // A member that asked for a trainer while the last one was ending gets a new one.
  const bool restart = trainer->restart;
  trainers_.erase(slot);
  if (restart) return Acquire(slot);
  callbacks_.on_ended(slot, how);
}

}  // namespace mead::agent
