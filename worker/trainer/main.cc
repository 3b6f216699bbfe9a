// mead-trainer: one rank of a gang, started by mead-worker; or, with --predict, what the client
// starts to classify pictures (predict.h). Not for use by hand.
//
// Exit of a rank: 0 when the agent is gone or ends it, 1 when there is no agent, 2 on wrong usage,
// 143 on SIGTERM while it trains nothing; while it does, it ends the trial (yield_request.h).
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "common/log.h"
#include "common/version.h"
#include "worker/trainer/agent_link.h"
#include "worker/trainer/predict.h"
#include "worker/trainer/trial_run.h"
#include "worker/trainer/yield_request.h"

int main(int argc, char** argv) {
  mead::SetLogProcessName("mead-trainer");
  std::string socket;
  int slot = 0;
  CLI::App app("One rank of a training gang. mead-worker starts it.");
  bool predict = false;
  CLI::Option* predicts = app.add_flag(
      "--predict", predict, "classify the pictures that standard input names (\"mead predict\")");
  app.add_option("--socket", socket, "the agent's Unix socket")->excludes(predicts);
  app.add_option("--slot", slot, "the slot of the agent that this process is");
  app.set_version_flag("--version", std::string(mead::kVersion));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (predict) return mead::trainer::Predict(std::cin, std::cout);
  if (socket.empty()) {
    std::cerr << "mead-trainer: --socket is required; mead-worker starts this program\n";
    return 2;
  }
  const char* token = std::getenv("MEAD_TRAINER_TOKEN");
  if (token == nullptr) {
    std::cerr << "mead-trainer: MEAD_TRAINER_TOKEN is not set; mead-worker starts this program\n";
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  mead::trainer::YieldRequest::HandleSigterm();

  const auto link = mead::trainer::AgentLink::Connect(socket, slot, token);
  if (!link.ok()) {
    mead::Log(mead::LogLevel::kError, std::string(link.status().message()));
    return 1;
  }
  unsetenv("MEAD_TRAINER_TOKEN");
  for (;;) {
    const mead::v1::AttachResponse message = (*link)->Next();
    if (!message.has_prepare()) continue;  // a Go that came too late
    mead::v1::AttachRequest reply;
    *reply.mutable_exited() = mead::trainer::RunTrial(message.prepare(), **link);
    (*link)->Send(std::move(reply));
  }
}
