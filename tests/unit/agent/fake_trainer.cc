// A trainer process without a training step: it says hello, and then does what the
// trial's model names:
//   "steady"  ready, and after Go two epochs with a checkpoint each, then success
//   "waits"   ready, and after Go runs until it is ended
//   "fails"   ready, and after Go reports an out-of-memory failure
//   "chatty"  as steady, with lines on standard error
//   "yields"  ready, and after Go runs until SIGTERM, then ends with a checkpoint within an epoch
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "mead/v1/trainer.grpc.pb.h"

namespace v1 = mead::v1;

namespace {

int sigterm_pipe[2];

void OnSigterm(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = write(sigterm_pipe[1], &byte, 1);
}

void AwaitSigterm() {
  char byte;
  while (read(sigterm_pipe[0], &byte, 1) != 1) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto channel =
      grpc::CreateChannel(std::string("unix:") + argv[2], grpc::InsecureChannelCredentials());
  const auto stub = v1::TrainerService::NewStub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const auto stream = stub->Attach(&context);
  v1::AttachRequest hello;
  hello.mutable_hello()->set_token(std::getenv("MEAD_TRAINER_TOKEN"));
  hello.mutable_hello()->set_slot(std::atoi(argv[4]));
  stream->Write(hello);

  v1::Prepare prepare;
  v1::AttachResponse message;
  while (stream->Read(&message)) {
    v1::AttachRequest reply;
    if (message.has_prepare()) {
      prepare = message.prepare();
      if (prepare.config().model() == "yields") {
        if (pipe(sigterm_pipe) != 0) return 1;
        signal(SIGTERM, OnSigterm);
      }
      reply.mutable_ready()->set_rendezvous("127.0.0.1:1");
      // What the test wants to know of this process and of its Prepare.
      reply.mutable_ready()->set_plan_digest(std::to_string(getpid()) + " " + prepare.device() +
                                             " " + std::to_string(prepare.shard_paths_size()) +
                                             " " + prepare.cache_dir() + " " +
                                             std::to_string(prepare.cache_limit_bytes()));
      stream->Write(reply);
      continue;
    }
    const std::string behaviour = prepare.config().model();
    if (behaviour == "waits") continue;
    if (behaviour == "fails") {
      reply.mutable_exited()->set_kind(v1::FAILURE_KIND_OUT_OF_MEMORY);
      reply.mutable_exited()->set_message("does not fit");
      stream->Write(reply);
      continue;
    }
    if (behaviour == "yields") {
      AwaitSigterm();
      const std::string path = prepare.work_dir() + "/epoch-1-step-7";
      std::ofstream(path) << "weights after 7 steps";
      reply.mutable_checkpoint()->set_path(path);
      reply.mutable_checkpoint()->set_step(7);
      stream->Write(reply);
      reply.Clear();
      reply.mutable_exited()->set_kind(v1::FAILURE_KIND_PREEMPTED);
      reply.mutable_exited()->set_message("asked to end");
      reply.mutable_exited()->set_yielded(true);
      stream->Write(reply);
      continue;
    }
    if (behaviour == "chatty") std::cerr << "caf\xC3\xA9 \xFF from the trainer" << std::endl;
    for (int epoch = 1; epoch <= 2; ++epoch) {
      reply.Clear();
      reply.mutable_epoch()->set_epoch(epoch);
      stream->Write(reply);
      const std::string path = prepare.work_dir() + "/epoch-" + std::to_string(epoch);
      std::ofstream(path) << "weights of epoch " << epoch;
      reply.Clear();
      reply.mutable_checkpoint()->set_epoch(epoch);
      reply.mutable_checkpoint()->set_path(path);
      stream->Write(reply);
      std::ofstream(path + "-predictions") << "predictions of epoch " << epoch;
      reply.Clear();
      reply.mutable_predictions()->set_epoch(epoch);
      reply.mutable_predictions()->set_path(path + "-predictions");
      stream->Write(reply);
    }
    reply.Clear();
    reply.mutable_exited()->set_succeeded(true);
    stream->Write(reply);
  }
  return 0;
}
