#include "bench/train_step_sides/synthetic_rank.h"

#include <chrono>
#include <fstream>
#include <sstream>

#include "bench/side.h"
#include "common/base/rng.h"
#include "worker/train/comm/rendezvous.h"
#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace mead::bench {
namespace {

constexpr int kClasses = 8;
constexpr std::chrono::seconds kTimeout{120};
// Of a Kvasir picture, decoded at half its size for an input of 224 pixels.
constexpr PictureSize kDecoded{360, 288};
constexpr uint64_t kStoredBatches = 4;
const AugmentOptions kAugment{
    .rotate = 180, .flip = Flip::kBoth, .crop_lo = 0.7, .crop_hi = 1, .lighting = 0.2};

void FillWithNoise(std::vector<uint8_t>& pixels, uint64_t seed) {
  Rng rng(seed);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
}

bool OnGpu(const RankOptions& options) { return options.device.starts_with("cuda"); }

int GpuIndex(const RankOptions& options) {
  const size_t colon = options.device.find(':');
  return colon == std::string::npos ? 0 : std::stoi(options.device.substr(colon + 1));
}

// VmHWM of /proc/self/status; 0 where there is none.
int64_t PeakResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    int64_t kib = 0;
    std::istringstream(line.substr(6)) >> kib;
    return kib * 1024;
  }
  return 0;
}

std::shared_ptr<train::Communicator> JoinGang(const RankOptions& options) {
  train::CommunicatorOptions gang{.rank = options.rank, .world_size = options.world_size};
  gang.device = options.device;
  gang.timeout = kTimeout;
  std::shared_ptr<train::RendezvousStore> store;
  if (options.world_size > 1) {
    store = options.store == "serve" ? train::RendezvousStore::Serve("127.0.0.1", kTimeout)
                                     : train::RendezvousStore::Connect(options.store, kTimeout);
    Say("store " + store->address());
  }
  return train::MakeCommunicator(gang, store);
}

}  // namespace

RankOptions RankOptionsFrom(char** argv) {
  return {.model = argv[0],
          .side = std::stoi(argv[1]),
          .global_batch = std::stoi(argv[2]),
          .threads = std::stoi(argv[3]),
          .device = argv[4],
          .precision = argv[5],
          .rank = std::stoi(argv[6]),
          .world_size = std::stoi(argv[7]),
          .store = argv[8]};
}

SyntheticRank::SyntheticRank(const RankOptions& options)
    : options_(options), batch_(options.global_batch / options.world_size) {
  train::TrainOptions training;
  training.model = options.model;
  training.num_classes = kClasses;
  training.image_size = options.side;
  training.batch_size = options.global_batch;
  training.steps_per_epoch = 1;
  training.epochs = 1;
  training.schedule = train::ScheduleKind::kConstant;
  training.threads = options.threads;
  training.device = options.device;
  training.precision = train::PrecisionFromName(options.precision);
  training.resident_bytes = options.resident ? int64_t{1} << 40 : 0;  // is taken as it fills
  session_ = std::make_unique<train::TrainingSession>(training, JoinGang(options));

  if (options.resident) {
    FillStore();
  } else {
    const auto side = static_cast<size_t>(options.side);
    pixels_.resize(static_cast<size_t>(batch_) * side * side * 3);
    FillWithNoise(pixels_, 1);
  }
  Rng rng(2);
  labels_.resize(static_cast<size_t>(batch_));
  for (int32_t& label : labels_) label = static_cast<int32_t>(rng.Below(kClasses));
}

void SyntheticRank::FillStore() {
  planned_.resize(static_cast<size_t>(batch_));
  const std::shared_ptr<PictureStore> store = session_->KeepPictures();
  std::vector<uint8_t> pixels(size_t{3} * kDecoded.width * kDecoded.height);
  for (uint64_t i = 0; i < kStoredBatches * planned_.size(); ++i) {
    FillWithNoise(pixels, i);
    if (store->Keep(i, kDecoded, pixels.data())) continue;
    throw train::TrainError(train::ErrorKind::kOutOfMemory, "no room for the pictures");
  }
}

// As a loader does for an epoch of kStoredBatches steps.
const std::vector<PlannedPicture>& SyntheticRank::PlanNextStep() {
  const uint64_t epoch = planned_steps_ / kStoredBatches;
  const uint64_t first = planned_steps_ % kStoredBatches * planned_.size();
  for (uint64_t i = 0; i < planned_.size(); ++i) {
    planned_[i] = {static_cast<int64_t>(first + i),
                   DrawAugmentation({1, epoch, first + i}, kAugment, kDecoded, options_.side)};
  }
  ++planned_steps_;
  return planned_;
}

// The peer takes as many; CUDA graphs and clocks need more of them to settle.
void SyntheticRank::WarmUp() { Train(OnGpu(options_) ? 10 : 3); }

void SyntheticRank::Train(int steps) {
  const int64_t global = int64_t{batch_} * options_.world_size;
  for (int i = 0; i < steps; ++i) {
    session_->StartStep(pixels_.data(), labels_.data(), batch_, global,
                        options_.resident ? PlanNextStep().data() : nullptr);
    session_->FinishedSteps(/*wait=*/false);  // a step that diverged ends the run
  }
  session_->FinishedSteps(/*wait=*/true);
}

void SyntheticRank::ResetPeakMemory() {
  if (OnGpu(options_)) return;
  std::ofstream("/proc/self/clear_refs") << "5";  // a kernel without it counts from the start
}

int64_t SyntheticRank::PeakMemoryBytes() const {
#ifdef MEAD_HAVE_CUDA
  if (OnGpu(options_)) {
    // The first of each kind of statistics is of all pools together.
    return c10::cuda::CUDACachingAllocator::getDeviceStats(
               static_cast<c10::DeviceIndex>(GpuIndex(options_)))
        .allocated_bytes[0]
        .peak;
  }
#endif
  return PeakResidentBytes();
}

}  // namespace mead::bench
