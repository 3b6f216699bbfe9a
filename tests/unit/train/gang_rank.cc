// One rank of a gang, for gang_test.cc and bench/determinism: trains on made-up pictures.
//
// gang_rank RANK WORLD STORE [KEY=VALUE...] COUNTS...
//   STORE: "serve" (rank 0; prints the address) or rank 0's address; "-" for one rank
//   COUNTS: one per step, "a,b,...": each rank's share of the global batch
//   flags=LETTERS: b bfloat16, c clipped gradients, e averaged weights, m mixup and CutMix,
//     n frozen batch-norm, p every step an epoch and the body frozen in the first, t a short
//     timeout, v 4 virtual ranks, w gradients that travel as bfloat16
//   epoch=STEPS: of one epoch; without it all steps are one
//   micro_batch=N, image_size=N, batch_size=N (global; without it 64), transport=NAME
//   weights=FILE: to begin with; resume=CHECKPOINT: to go on from
//   save=PATH: rank 0 writes a checkpoint there after every epoch and after a divergence
//   every=STEPS: and after so many steps of an epoch
//   copies=PATH: at the end each rank writes its own checkpoint to PATH.RANK
//   pause_at=STEP: before which it waits to be killed
// Prints "step LOSS CORRECT" in hexadecimal floating point for each step, "epoch N"
// after each checkpoint, and "sums ..." at the end. Exit: 0 done, 3 a peer was lost,
// 4 the training diverged, 1 anything else.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "common/augment/mix.h"
#include "common/base/rng.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

constexpr int kClasses = 4;

struct Arguments {
  int rank = 0;
  int world_size = 1;
  std::string store;
  std::map<std::string, std::string> settings;
  std::vector<std::vector<int>> counts;  // [steps][ranks]

  bool flag(char letter) const {
    const auto found = settings.find("flags");
    return found != settings.end() && found->second.find(letter) != std::string::npos;
  }
  std::string text(const std::string& key) const {
    const auto found = settings.find(key);
    return found == settings.end() ? "" : found->second;
  }
  int number(const std::string& key, int otherwise) const {
    return settings.contains(key) ? std::stoi(settings.at(key)) : otherwise;
  }
  int steps() const { return static_cast<int>(counts.size()); }
  int steps_per_epoch() const { return flag('p') ? 1 : number("epoch", steps()); }
};

std::vector<int> ParseCounts(const std::string& text) {
  std::vector<int> counts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) counts.push_back(std::stoi(part));
  return counts;
}

Arguments ParseArguments(int argc, char** argv) {
  Arguments arguments{.rank = std::stoi(argv[1]),
                      .world_size = std::stoi(argv[2]),
                      .store = argv[3],
                      .settings = {},
                      .counts = {}};
  for (int i = 4; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      arguments.counts.push_back(ParseCounts(text));
    } else {
      arguments.settings[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return arguments;
}

TrainOptions Options(const Arguments& arguments) {
  TrainOptions options;
  options.model = "resnet18";
  options.num_classes = kClasses;
  options.image_size = arguments.number("image_size", 32);
  options.batch_size = arguments.number("batch_size", 64);
  options.steps_per_epoch = arguments.steps_per_epoch();
  options.epochs =
      (arguments.steps() + arguments.steps_per_epoch() - 1) / arguments.steps_per_epoch();
  if (arguments.flag('p')) {
    options.phases = {{.epochs = 1, .freeze_body = true},
                      {.epochs = options.epochs - 1, .body_lr_scale = 0.5}};
  }
  options.optimizer.lr = 0.005;
  options.schedule = ScheduleKind::kConstant;
  options.freeze_batch_norm = arguments.flag('n');
  if (arguments.flag('b')) options.precision = Precision::kBf16;
  if (arguments.flag('c')) options.clip_grad_norm = 0.5;
  if (arguments.flag('e')) options.ema_decay = 0.9;
  if (arguments.flag('m')) options.mixes = true;
  if (arguments.flag('v')) options.virtual_ranks = 4;
  if (arguments.flag('w')) options.gradients_on_wire = Precision::kBf16;
  options.micro_batch = arguments.number("micro_batch", 0);
  return options;
}

// This rank's slice of a step's global batch.
struct Slice {
  std::vector<uint8_t> pixels;  // [n, side, side, 3]
  std::vector<int32_t> labels;  // [n]
  int64_t global_n = 0;
  BatchMix mix;  // where pictures are mixed; pixels and labels then are [mix.pictures]
};

// Picture i of a global batch is the same however it is dealt out.
void AddPicture(uint64_t step, size_t i, int side, Slice& slice) {
  Rng rng = Rng::ForKey(17, step, i);
  slice.labels.push_back(static_cast<int32_t>(rng.Below(kClasses)));
  for (int value = 0; value < side * side * 3; ++value) {
    slice.pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
  }
}

Slice MakeSlice(uint64_t step, const std::vector<int>& counts, int rank, int side) {
  Slice slice;
  size_t first = 0;
  const auto count = static_cast<size_t>(counts[static_cast<size_t>(rank)]);
  for (size_t r = 0; r < counts.size(); ++r) {
    if (static_cast<int>(r) < rank) first += static_cast<size_t>(counts[r]);
    slice.global_n += counts[r];
  }
  for (size_t i = first; i < first + count; ++i) AddPicture(step, i, side, slice);
  return slice;
}

void AddMix(uint64_t step, const std::vector<int>& counts, int rank, int side, Slice& slice) {
  const auto size = static_cast<size_t>(slice.global_n);
  const auto begin = static_cast<size_t>(std::accumulate(counts.begin(), counts.begin() + rank, 0));
  slice.mix = PartnersOf(size, begin, slice.labels.size());
  slice.mix.plan = DrawMix({17, 1, step}, {.mixup = 0.4, .cutmix = 1}, side);
  const auto extra = PlaceFromElsewhere(size, begin, slice.labels.size());
  if (extra.has_value()) AddPicture(step, *extra, side, slice);
}

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void Train(const Arguments& arguments, TrainingSession& session) {
  const int side = arguments.number("image_size", 32);
  const int pause_at = arguments.number("pause_at", -1);
  const int per_epoch = arguments.steps_per_epoch();
  for (auto step = static_cast<int>(session.global_step()); step < arguments.steps(); ++step) {
    if (step == pause_at) {
      Say("paused");
      pause();
    }
    const int epoch = step / per_epoch + 1;
    session.StartEpoch(epoch);
    const auto& counts = arguments.counts[static_cast<size_t>(step)];
    Slice slice = MakeSlice(static_cast<uint64_t>(step), counts, arguments.rank, side);
    const auto n = static_cast<int>(slice.labels.size());
    const bool mixes = arguments.flag('m');
    if (mixes) AddMix(static_cast<uint64_t>(step), counts, arguments.rank, side, slice);
    session.StartStep(slice.pixels.data(), slice.labels.data(), n, slice.global_n,
                      /*planned=*/nullptr, mixes ? &slice.mix : nullptr);
    const StepResult result = session.FinishedSteps(/*wait=*/true).back();
    std::printf("step %a %lld\n", result.loss, static_cast<long long>(result.correct));
    std::fflush(stdout);
    const bool ends_epoch = (step + 1) % per_epoch == 0 || step + 1 == arguments.steps();
    const int every = arguments.number("every", 0);
    if (!ends_epoch && every > 0 && (step + 1) % per_epoch % every == 0 && arguments.rank == 0) {
      EpochSoFar so_far;
      so_far.steps = (step + 1) % per_epoch;
      session.SaveCheckpoint(arguments.text("save"), epoch - 1, so_far);
    }
    if (!ends_epoch) continue;
    session.StartEvaluation();
    session.EndEvaluation();
    if (!arguments.text("save").empty() && arguments.rank == 0) {
      session.SaveCheckpoint(arguments.text("save"), epoch);
      Say("epoch " + std::to_string(epoch));
    }
  }
}

void Run(const Arguments& arguments) {
  // Short, but enough for the other ranks' processes to start on a busy machine.
  const std::chrono::seconds timeout(arguments.flag('t') ? 15 : 60);
  std::shared_ptr<RendezvousStore> store;
  if (arguments.world_size > 1) {
    store = arguments.store == "serve" ? RendezvousStore::Serve("127.0.0.1", timeout)
                                       : RendezvousStore::Connect(arguments.store, timeout);
    Say("store " + store->address());
  }
  const std::string transport = arguments.text("transport");
  const auto communicator =
      MakeCommunicator({.rank = arguments.rank,
                        .world_size = arguments.world_size,
                        .transport = TransportFromName(transport.empty() ? "auto" : transport),
                        .timeout = timeout},
                       store);
  TrainingSession session(Options(arguments), communicator);
  if (!arguments.text("weights").empty()) session.LoadWeights(arguments.text("weights"));
  if (!arguments.text("resume").empty()) session.Resume(arguments.text("resume"));
  try {
    Train(arguments, session);
  } catch (const TrainError& error) {
    // The weights before it are to be seen.
    if (error.kind() == ErrorKind::kDiverged && arguments.rank == 0 &&
        !arguments.text("save").empty()) {
      session.SaveCheckpoint(arguments.text("save"), 1);
    }
    throw;
  }
  if (const std::string path = arguments.text("copies"); !path.empty()) {
    session.SaveCheckpoint(path + "." + std::to_string(arguments.rank), 1);
  }
  const std::vector<int64_t> sums =
      communicator->SumOverRanks(std::vector<int64_t>{arguments.rank + 1, 1});
  Say("sums " + std::to_string(sums[0]) + " " + std::to_string(sums[1]));
  communicator->Barrier();
}

int ExitCode(ErrorKind kind) {
  if (kind == ErrorKind::kPeerLost) return 3;
  return kind == ErrorKind::kDiverged ? 4 : 1;
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  signal(SIGPIPE, SIG_IGN);  // as the trainer does
  try {
    mead::train::Run(mead::train::ParseArguments(argc, argv));
  } catch (const mead::train::TrainError& error) {
    std::printf("error %s: %s\n", mead::train::ErrorKindName(error.kind()), error.what());
    std::fflush(stdout);
    // As the trainer does after a fault: no orderly end with a broken gang.
    _exit(mead::train::ExitCode(error.kind()));
  } catch (const std::exception& error) {
    std::printf("error %s\n", error.what());
    return 1;
  }
  return 0;
}
