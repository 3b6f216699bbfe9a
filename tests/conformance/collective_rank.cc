// One rank of a gang that does nothing but all-reduce, for communicator_kill_test.cc.
//
// collective_rank RANK WORLD STORE TRANSPORT TIMEOUT_SECONDS
//   STORE: "serve" (rank 0; prints "store ADDRESS") or rank 0's address
// Prints "running" after some sums, and goes on until it is killed or fails.
// Exit: 3 a peer was lost, 1 anything else.
#include <ATen/ATen.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void Run(char** argv) {
  // For the meeting, which a busy machine may make long.
  constexpr std::chrono::seconds kMeeting{120};
  const std::string store_text = argv[3];
  const auto store = store_text == "serve" ? RendezvousStore::Serve("127.0.0.1", kMeeting)
                                           : RendezvousStore::Connect(store_text, kMeeting);
  Say("store " + store->address());
  CommunicatorOptions options{.rank = std::stoi(argv[1]), .world_size = std::stoi(argv[2])};
  options.transport = TransportFromName(argv[4]);
  options.timeout = std::chrono::seconds(std::stoi(argv[5]));
  const auto gang = MakeCommunicator(options, store);
  constexpr int kBuckets = 4;
  constexpr int kWarm = 10;
  std::vector<at::Tensor> buckets;
  for (int i = 0; i < kBuckets; ++i) buckets.push_back(gang->AllocateBuffer(250000, at::kFloat));
  for (int step = 0;; ++step) {
    std::vector<std::unique_ptr<Pending>> pending;
    for (at::Tensor& bucket : buckets) pending.push_back(gang->AllReduceSum(bucket));
    for (const auto& sum : pending) sum->Wait();
    if (step == kWarm) Say("running");
  }
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  signal(SIGPIPE, SIG_IGN);  // as the trainer does
  try {
    mead::train::Run(argv);
  } catch (const mead::train::TrainError& error) {
    mead::train::Say(std::string("error ") + mead::train::ErrorKindName(error.kind()) + ": " +
                     error.what());
    // The destructors have run, so a communicator whose gang is broken can end.
    return error.kind() == mead::train::ErrorKind::kPeerLost ? 3 : 1;
  } catch (const std::exception& error) {
    mead::train::Say(std::string("error ") + error.what());
    return 1;
  }
}
