// The trainer processes of this agent, one per slot: started when a member first
// needs one, kept warm after a success, ended after anything else.
//
//   (none) --Acquire--> starting --hello--> warm/in use --Acquire--> in use ...
//   any --Discard, or its own end--> ending --process gone--> (none)
//
// A slot's process is always gone before its next one is started, so a GPU never
// has two.
//
// Thread: the agent's event loop; callbacks run there too.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "mead/v1/trainer.pb.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/supervisor.h"
#include "worker/agent/trainer_server.h"

namespace mead::agent {

struct TrainerPoolOptions {
  std::filesystem::path program;
  std::filesystem::path socket;
  // From the start of the process to its hello.
  absl::Duration hello_timeout = absl::Seconds(60);
};

class TrainerPool {
 public:
  struct Callbacks {
    // The slot's trainer is attached and waits for a Prepare.
    std::function<void(int slot)> on_ready;
    std::function<void(int slot, const v1::AttachRequest& message)> on_message;
    std::function<void(int slot, std::vector<std::string> lines)> on_lines;
    // The slot's process has ended, for whatever reason; how, in words.
    std::function<void(int slot, const std::string& how)> on_ended;
  };

  static absl::StatusOr<std::unique_ptr<TrainerPool>> Create(TrainerPoolOptions options,
                                                             EventLoop& loop, Callbacks callbacks);
  ~TrainerPool();

  // Gets the slot a trainer: the warm one, or a new one. on_ready follows, or
  // on_ended when it does not come up.
  void Acquire(int slot);
  void Send(int slot, const v1::AttachResponse& response);
  // Asks the slot's trainer to end when it has saved what it can (SIGTERM); after the grace it
  // is killed. on_ended follows when there was one.
  void AskToEnd(int slot, absl::Duration grace);
  // Kills the slot's trainer, which has nothing left to save. on_ended follows when
  // there was one; false when there was none.
  bool Discard(int slot);
  bool HasProcess(int slot) const { return trainers_.count(slot) > 0; }

 private:
  struct Trainer {
    std::string token;
    Supervisor::ChildId child = 0;
    bool attached = false;
    bool closed = false;   // its stream has broken
    bool wanted = false;   // Acquire waits for its hello
    bool ending = false;   // the agent has told it to end
    bool restart = false;  // Acquire waits for its end, and for another one
    // Why the agent ended it, for on_ended; empty: it ended by itself.
    std::string reason;
  };

  TrainerPool(TrainerPoolOptions options, EventLoop& loop, Callbacks callbacks);
  absl::Status StartProcess(int slot);
  void End(int slot, std::string reason);
  // The slot's trainer if it (still) has this token.
  Trainer* Find(int slot, const std::string& token);
  void OnMessage(const std::string& token, const v1::AttachRequest& message);
  void OnClosed(const std::string& token);
  void OnExit(int slot, const std::string& token, ExitStatus status);

  const TrainerPoolOptions options_;
  EventLoop& loop_;
  const Callbacks callbacks_;
  std::map<int, Trainer> trainers_;  // by slot
  // Declared last: their threads call back, so they end before the rest goes.
  std::unique_ptr<TrainerServer> server_;
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace mead::agent
