// One rank of a gang, for gang_test.cc: trains on made-up pictures.
//
// gang_rank RANK WORLD STORE CHECKPOINT FLAGS PAUSE_AT COUNTS...
//   STORE: "serve" (rank 0; prints the address) or rank 0's address
//   CHECKPOINT: written at the end; "-" for none
//   FLAGS: letters: n frozen batch-norm, p every step an epoch and the body frozen
//   in the first, t a short timeout
//   PAUSE_AT: the step before which it waits to be killed; -1 for never
//   COUNTS: one per step, "a,b,...": each rank's share of the global batch
// Prints "step LOSS CORRECT" in hexadecimal floating point for each step, then
// "sums ...". Exit: 0 done, 3 a peer was lost, 1 anything else.
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

constexpr int kSide = 32;
constexpr int kClasses = 4;

std::vector<int> ParseCounts(const std::string& text) {
  std::vector<int> counts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) counts.push_back(std::stoi(part));
  return counts;
}

// Picture `index` of a global batch; every rank makes only its own.
void AppendPicture(uint64_t step, uint64_t index, std::vector<uint8_t>& pixels,
                   std::vector<int32_t>& labels) {
  Rng rng = Rng::ForKey(17, step, index);
  labels.push_back(static_cast<int32_t>(rng.Below(kClasses)));
  for (int i = 0; i < kSide * kSide * 3; ++i)
    pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
}

void Run(int argc, char** argv) {
  const int rank = std::stoi(argv[1]);
  const int world_size = std::stoi(argv[2]);
  const std::string store_text = argv[3];
  const std::string checkpoint = argv[4];
  const std::string flags = argv[5];
  auto flag = [&](char letter) { return flags.find(letter) != std::string::npos; };
  const int pause_at = std::stoi(argv[6]);
  const int steps = argc - 7;
  // Short, but enough for the other ranks' processes to start on a busy machine.
  const std::chrono::seconds timeout(flag('t') ? 15 : 60);
  std::shared_ptr<RendezvousStore> store;
  if (world_size > 1) {
    store = store_text == "serve" ? RendezvousStore::Serve("127.0.0.1", timeout)
                                  : RendezvousStore::Connect(store_text, timeout);
    std::printf("store %s\n", store->address().c_str());
    std::fflush(stdout);
  }
  const auto communicator =
      MakeCommunicator({.rank = rank, .world_size = world_size, .timeout = timeout}, store);
  TrainOptions options;
  options.model = "resnet18";
  options.num_classes = kClasses;
  options.image_size = kSide;
  options.steps_per_epoch = flag('p') ? 1 : steps;
  options.epochs = flag('p') ? steps : 1;
  if (flag('p')) {
    options.phases = {{.epochs = 1, .freeze_body = true},
                      {.epochs = steps - 1, .body_lr_scale = 0.5}};
  }
  options.optimizer.lr = 0.005;
  options.schedule = ScheduleKind::kConstant;
  options.freeze_batch_norm = flag('n');
  TrainingSession session(options, communicator);
  for (int step = 0; step < steps; ++step) {
    if (step == pause_at) {
      std::printf("paused\n");
      std::fflush(stdout);
      pause();
    }
    session.StartEpoch(flag('p') ? step + 1 : 1);
    const std::vector<int> counts = ParseCounts(argv[7 + step]);
    uint64_t first = 0;
    int64_t global = 0;
    for (size_t r = 0; r < counts.size(); ++r) {
      if (static_cast<int>(r) < rank) first += static_cast<uint64_t>(counts[r]);
      global += counts[r];
    }
    const int mine = counts[static_cast<size_t>(rank)];
    std::vector<uint8_t> pixels;
    std::vector<int32_t> labels;
    for (int i = 0; i < mine; ++i) {
      AppendPicture(static_cast<uint64_t>(step), first + static_cast<uint64_t>(i), pixels, labels);
    }
    const StepResult result = session.TrainStep(pixels.data(), labels.data(), mine, global);
    std::printf("step %a %lld\n", result.loss, static_cast<long long>(result.correct));
    std::fflush(stdout);
  }
  session.StartEvaluation();
  const std::vector<int64_t> sums = communicator->SumOverRanks(std::vector<int64_t>{rank + 1, 1});
  std::printf("sums %lld %lld\n", static_cast<long long>(sums[0]), static_cast<long long>(sums[1]));
  if (checkpoint != "-") session.SaveCheckpoint(checkpoint, 1);
  communicator->Barrier();
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  if (argc < 8) return 2;
  signal(SIGPIPE, SIG_IGN);  // as the trainer does
  try {
    mead::train::Run(argc, argv);
  } catch (const mead::train::TrainError& error) {
    std::printf("error %s: %s\n", mead::train::ErrorKindName(error.kind()), error.what());
    std::fflush(stdout);
    // As the trainer does after a fault: no orderly end with a broken gang.
    _exit(error.kind() == mead::train::ErrorKind::kPeerLost ? 3 : 1);
  } catch (const std::exception& error) {
    std::printf("error %s\n", error.what());
    return 1;
  }
  return 0;
}
