// Pictures that stay on a GPU: augmented there, against the CPU's renderer, byte by byte.
//
// input_gpu_check
// Prints what differs and "N passed, N failed". Exit status 1 where something failed,
// 77 where there is no GPU.
#include <ATen/Context.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "common/augment/render.h"
#include "common/base/rng.h"
#include "tests/gpu/tally.h"
#include "worker/train/input/input_stage.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

const at::Device kGpu(at::kCUDA, 0);

Tally tally;

void Expect(const std::string& what, bool good) { tally.Add(what, good); }

size_t PictureBytes(int side) { return size_t{3} * static_cast<size_t>(side * side); }

// Up to 400 pixels, and now and then so small that mirrors face each other.
PictureSize SizeOf(uint64_t picture) {
  Rng rng = Rng::ForKey(11, picture);
  const uint64_t most = rng.Below(8) == 0 ? 6 : 400;
  return {static_cast<int>(1 + rng.Below(most)), static_cast<int>(1 + rng.Below(most))};
}

std::vector<uint8_t> Decoded(uint64_t picture) {
  const PictureSize size = SizeOf(picture);
  Rng rng = Rng::ForKey(12, picture);
  std::vector<uint8_t> pixels(static_cast<size_t>(3 * size.width * size.height));
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  return pixels;
}

AugmentPlan PlanOf(uint64_t epoch, uint64_t picture, int side) {
  static const AugmentOptions kOptions[] = {
      {.rotate = 0, .flip = Flip::kNone},
      {.rotate = 180,
       .flip = Flip::kBoth,
       .crop_lo = 0.7,
       .crop_hi = 1,
       .lighting = 0.2,
       .erasing = 0.5},
      {.rotate = 45, .flip = Flip::kHorizontal, .crop_lo = 0.05, .crop_hi = 0.1, .lighting = 1},
  };
  return DrawAugmentation({1, epoch, picture}, kOptions[epoch % 3], SizeOf(picture), side);
}

std::shared_ptr<ResidentStore> StoreOf(uint64_t pictures) {
  auto store = std::make_shared<ResidentStore>(kGpu, uint64_t{1} << 30);
  std::vector<std::jthread> threads;
  for (uint64_t first = 0; first < 8; ++first) {
    threads.emplace_back([&store, first, pictures] {
      for (uint64_t i = first; i < pictures; i += 8) {
        store->Keep(i, SizeOf(i), Decoded(i).data());
      }
    });
  }
  threads.clear();
  for (uint64_t i = 0; i < pictures; ++i) {
    Expect("picture " + std::to_string(i) + " is kept", store->Find(i) == SizeOf(i));
  }
  return store;
}

// A batch of pictures, as the CPU renders them; every `share`-th place comes as pixels.
struct Batch {
  Batch(int64_t n, uint64_t first, uint64_t epoch, int side, int64_t share) {
    all.resize(static_cast<size_t>(n) * PictureBytes(side));
    mixed.assign(all.size(), 99);
    planned.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t picture = first + static_cast<uint64_t>(i);
      const size_t at = static_cast<size_t>(i) * PictureBytes(side);
      const AugmentPlan plan = PlanOf(epoch, picture, side);
      RenderAugmented(Decoded(picture).data(), SizeOf(picture), plan, side, &all[at]);
      labels.push_back(static_cast<int32_t>(picture % 8));
      if (share > 0 && i % share == 0) {
        std::copy_n(&all[at], PictureBytes(side), &mixed[at]);
      } else {
        planned[static_cast<size_t>(i)] = {static_cast<int64_t>(picture), plan};
      }
    }
  }

  std::vector<uint8_t> all;    // the pixels of every place
  std::vector<uint8_t> mixed;  // of those that are not planned
  std::vector<PlannedPicture> planned;
  std::vector<int32_t> labels;
};

// The kernel, through the whole input stage, three batches in a row so that slots come again.
void CheckRendering(const std::shared_ptr<ResidentStore>& store) {
  constexpr int64_t kBatch = 48;
  const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool(false, kGpu.index()));
  for (const int side : {224, 65, 32, 7}) {
    InputStage stage(kGpu, at::kFloat, kBatch, side);
    stage.UseStore(store);
    const void* address = nullptr;
    for (const int64_t share : {0, 1, 2, 5}) {
      for (uint64_t epoch = 0; epoch < 3; ++epoch) {
        const std::string what = "side " + std::to_string(side) + ", every " +
                                 std::to_string(share) + "th as pixels, epoch " +
                                 std::to_string(epoch);
        const Batch batch(kBatch - static_cast<int64_t>(epoch), 7 * epoch, epoch, side, share);
        const auto n = static_cast<int64_t>(batch.labels.size());
        const uint8_t* pixels = share == 0 ? nullptr : batch.mixed.data();
        const DeviceBatch loaded = stage.Load(pixels, batch.labels.data(), n, batch.planned.data());
        const at::Tensor host = loaded.pixels.to(at::kCPU).contiguous();
        const auto* found = host.const_data_ptr<uint8_t>();
        int64_t different = 0;
        for (size_t i = 0; i < batch.all.size(); ++i) different += found[i] != batch.all[i];
        Expect(what + ": " + std::to_string(different) + " bytes differ", different == 0);
        Expect(what + ": labels", loaded.labels[n - 1].item<int64_t>() == batch.labels.back());
        if (address == nullptr) address = loaded.pixels.const_data_ptr();
        Expect(what + ": at the same address", loaded.pixels.const_data_ptr() == address);
        const DeviceBatch plain = stage.Load(batch.all.data(), batch.labels.data(), n);
        Expect(what + ": as loaded", at::equal(plain.pixels.to(at::kCPU), host));
      }
    }
  }
}

// The first n of n + 1 pictures, some of them from the store, each mixed with the one behind it.
void CheckMixing(const std::shared_ptr<ResidentStore>& store) {
  constexpr int64_t kBatch = 24;
  const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool(false, kGpu.index()));
  for (const int side : {224, 33}) {
    InputStage stage(kGpu, at::kFloat, kBatch, side, /*mixes=*/true);
    stage.UseStore(store);
    for (const int64_t share : {0, 1, 3}) {
      for (uint64_t step = 0; step < 6; ++step) {
        const int64_t n = step == 3 ? kBatch - 5 : kBatch;
        const Batch batch(n + 1, 5 * step, step, side, share);
        BatchMix mix = PartnersOf(64, 8, static_cast<size_t>(n));
        mix.plan = DrawMix({1, 1, step}, {.mixup = 1, .cutmix = 1}, side);
        const DeviceBatch loaded = stage.Load(share == 0 ? nullptr : batch.mixed.data(),
                                              batch.labels.data(), n, batch.planned.data(), &mix);
        const at::Tensor host = loaded.pixels.to(at::kCPU).contiguous();
        const std::string what = "mixed, side " + std::to_string(side) + ", every " +
                                 std::to_string(share) + "th as pixels, step " +
                                 std::to_string(step);
        std::vector<uint8_t> expected(static_cast<size_t>(n) * PictureBytes(side));
        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
          MixPictures(&batch.all[i * PictureBytes(side)], &batch.all[(i + 1) * PictureBytes(side)],
                      mix.plan, side, &expected[i * PictureBytes(side)]);
        }
        Expect(what, std::equal(expected.begin(), expected.end(), host.const_data_ptr<uint8_t>()));
        Expect(what + ": partners' labels",
               loaded.partner_labels[n - 1].item<int64_t>() == batch.labels.back());
        Expect(what + ": shares", std::abs(loaded.partner_shares[n - 1].item<double>() -
                                           PartnerShare(mix.plan, side)) < 1e-6);
      }
    }
  }
}

void CheckBound() {
  constexpr uint64_t kCapacity = 3 << 20;
  ResidentStore store(kGpu, kCapacity);
  uint64_t kept = 0;
  for (uint64_t i = 0; i < 64; ++i) kept += store.Keep(i, SizeOf(i), Decoded(i).data()) ? 1 : 0;
  const PictureStore::Usage usage = store.usage();
  Expect("some pictures fit", kept > 3 && kept < 64 && usage.pictures == kept);
  Expect("the bound holds", usage.bytes <= kCapacity && usage.bytes > kCapacity / 2);
  // Larger than the buffers that it goes through.
  ResidentStore large(kGpu, uint64_t{64} << 20);
  const PictureSize size{4000, 3000};
  std::vector<uint8_t> pixels(3 * size_t{4000} * 3000);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i >> 7);
  Expect("a large picture is kept", large.Keep(1, size, pixels.data()));
  std::vector<uint8_t> back(pixels.size());
  large.AwaitPictures();
  cudaDeviceSynchronize();
  cudaMemcpy(back.data(), large.Locate(1)->pixels, back.size(), cudaMemcpyDeviceToHost);
  Expect("a large picture is whole", back == pixels);
}

// Whole steps, recorded ones among them: from plans as from pixels.
void CheckTraining() {
  constexpr int kSide = 64;
  constexpr int kBatch = 16;
  std::vector<std::vector<double>> losses;
  for (const int64_t share : {1, 0, 3}) {
    TrainOptions options;
    options.model = "resnet18";
    options.num_classes = 8;
    options.image_size = kSide;
    options.batch_size = kBatch;
    options.steps_per_epoch = 10;
    options.epochs = 1;
    options.schedule = ScheduleKind::kConstant;
    options.optimizer.lr = 0.005;
    options.device = "cuda:0";
    options.threads = 4;
    CommunicatorOptions alone;
    alone.device = options.device;
    TrainingSession session(options, MakeCommunicator(alone, nullptr));
    session.FitMemory();
    const std::shared_ptr<PictureStore> store = session.KeepPictures();
    Expect("there is room for pictures", store != nullptr);
    if (store == nullptr) return;
    for (uint64_t i = 0; i < 64; ++i) store->Keep(i, SizeOf(i), Decoded(i).data());
    losses.emplace_back();
    for (uint64_t step = 0; step < 10; ++step) {
      const int n = step == 6 ? kBatch - 3 : kBatch;
      const Batch batch(n, 4 * step, step, kSide, share);
      session.StartStep(batch.mixed.data(), batch.labels.data(), n, n, batch.planned.data());
      for (const StepResult& result : session.FinishedSteps(false)) {
        losses.back().push_back(result.loss);
      }
    }
    for (const StepResult& result : session.FinishedSteps(true)) {
      losses.back().push_back(result.loss);
    }
  }
  for (size_t run = 1; run < losses.size(); ++run) {
    Expect("as many steps", losses[run].size() == losses[0].size());
    for (size_t i = 0; i < std::min(losses[run].size(), losses[0].size()); ++i) {
      // The kernels of a backward pass add in any order.
      Expect("run " + std::to_string(run) + ", step " + std::to_string(i) + ": " +
                 std::to_string(losses[run][i]) + " and " + std::to_string(losses[0][i]),
             std::abs(losses[run][i] - losses[0][i]) <= 1e-3 * std::abs(losses[0][i]));
    }
  }
}

}  // namespace
}  // namespace mead::train

int main() {
  return mead::train::RunOnGpu(mead::train::tally, [] {
    // Not in TF32: pictures without sense amplify its errors a hundredfold in ten steps.
    at::globalContext().setAllowTF32CuDNN(false);
    const auto store = mead::train::StoreOf(80);
    mead::train::CheckRendering(store);
    mead::train::CheckMixing(store);
    mead::train::CheckBound();
    mead::train::CheckTraining();
  });
}
