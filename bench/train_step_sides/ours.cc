// One rank of our training step, driven by bench/train_step over stdin.
//
// train_step_ours MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE
//   BATCH: global; STORE: "serve" (rank 0; prints "store ADDRESS") or an address
// Prints "ready" once warm; then for each line "N" on stdin trains N steps and
// prints the seconds they took.
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

constexpr int kClasses = 8;
constexpr std::chrono::seconds kTimeout{120};

void Run(char** argv) {
  const int world_size = std::stoi(argv[8]);
  const std::string store_text = argv[9];
  CommunicatorOptions gang{.rank = std::stoi(argv[7]), .world_size = world_size};
  gang.device = argv[5];
  gang.timeout = kTimeout;
  std::shared_ptr<RendezvousStore> store;
  if (world_size > 1) {
    store = store_text == "serve" ? RendezvousStore::Serve("127.0.0.1", kTimeout)
                                  : RendezvousStore::Connect(store_text, kTimeout);
    std::printf("store %s\n", store->address().c_str());
    std::fflush(stdout);
  }
  TrainOptions options;
  options.model = argv[1];
  options.num_classes = kClasses;
  options.image_size = std::stoi(argv[2]);
  options.batch_size = std::stoi(argv[3]);
  options.steps_per_epoch = 1;
  options.epochs = 1;
  options.schedule = ScheduleKind::kConstant;
  options.threads = std::stoi(argv[4]);
  options.device = argv[5];
  options.precision = PrecisionFromName(argv[6]);
  TrainingSession session(options, MakeCommunicator(gang, store));

  Rng rng(1);
  const int mine = static_cast<int>(options.batch_size) / world_size;
  std::vector<uint8_t> pixels(static_cast<size_t>(mine) * static_cast<size_t>(options.image_size) *
                              static_cast<size_t>(options.image_size) * 3);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  std::vector<int32_t> labels(static_cast<size_t>(mine));
  for (int32_t& label : labels) label = static_cast<int32_t>(rng.Below(kClasses));
  const int64_t global = int64_t{mine} * world_size;
  auto step = [&] { session.TrainStep(pixels.data(), labels.data(), mine, global); };

  for (int i = 0; i < 3; ++i) step();
  std::printf("ready\n");
  std::fflush(stdout);
  for (int steps = 0; std::cin >> steps;) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) step();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%.9f\n", seconds.count());
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  if (argc != 10) return 2;
  try {
    mead::train::Run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_step_ours: %s\n", error.what());
    return 1;
  }
  return 0;
}
