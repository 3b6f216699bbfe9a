#include "worker/train/input/input_stage.h"

#include <algorithm>
#include <cstring>

#include "worker/train/input/mix_batch.h"
#include "worker/train/input/normalize.h"

#ifdef MEAD_HAVE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <array>
#endif

namespace mead::train {

at::Tensor DeviceBatch::Normalised() const {
  at::Tensor out =
      at::empty({pixels.size(0), 3, pixels.size(1), pixels.size(2)},
                at::device(pixels.device()).dtype(compute), at::MemoryFormat::ChannelsLast);
  const int64_t count = out.numel();
  const auto* bytes = pixels.const_data_ptr<uint8_t>();
  if (pixels.is_cpu()) {
    if (compute == at::kFloat) {
      NormalizeOnCpu(bytes, out.data_ptr<float>(), count);
    } else {
      NormalizeOnCpu(bytes, out.data_ptr<c10::BFloat16>(), count);
    }
    return out;
  }
#ifdef MEAD_HAVE_CUDA
  const c10::cuda::CUDAGuard guard(pixels.device());  // the kernel runs on the current device
  void* stream = c10::cuda::getCurrentCUDAStream(pixels.device().index()).stream();
  const int error = compute == at::kFloat
                        ? NormalizeOnGpu(bytes, out.data_ptr<float>(), count, stream)
                        : NormalizeOnGpu(bytes, out.data_ptr<c10::BFloat16>(), count, stream);
  if (error != 0) {
    throw TrainError(ErrorKind::kInternal, std::string("normalising pictures on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
#endif
  return out;
}

namespace {

struct Run {
  int64_t begin;
  int64_t count;
};

// The runs of places that come as pixels.
std::vector<Run> PixelRuns(const PlannedPicture* planned, int64_t n) {
  if (planned == nullptr) return {{.begin = 0, .count = n}};
  std::vector<Run> runs;
  for (int64_t i = 0; i < n; ++i) {
    if (planned[i].picture != PlannedPicture::kNone) continue;
    if (!runs.empty() && runs.back().begin + runs.back().count == i) {
      ++runs.back().count;
    } else {
      runs.push_back({.begin = i, .count = 1});
    }
  }
  return runs;
}

}  // namespace

#ifdef MEAD_HAVE_CUDA

// Batch k waits in slot k % 2 on its way to pixels_ and labels_.
struct InputStage::Gpu {
  struct Slot {
    at::Tensor host_pixels, host_labels, host_jobs;  // pinned
    at::Tensor pixels, labels, jobs;                 // on the device
    // Where batches are mixed; pixels then have room for the picture from another rank.
    at::Tensor host_partner_labels, host_partners;  // pinned
    at::Tensor partner_labels, partners;            // on the device
    at::cuda::CUDAEvent arrived;                    // host to device
    at::cuda::CUDAEvent taken;                      // device to pixels_ and labels_
  };

  Gpu(const at::Tensor& pixels, const at::Tensor& labels, bool mixes)
      : copying(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, pixels.device().index())) {
    const int64_t places = labels.size(0) + (mixes ? 1 : 0);
    const int64_t side = pixels.size(1);
    const int64_t job_bytes = places * static_cast<int64_t>(sizeof(RenderJob));
    for (Slot& slot : slots) {
      const auto pinned = at::TensorOptions().pinned_memory(true);
      slot.host_pixels = at::empty({places, side, side, 3}, pinned.dtype(at::kByte));
      slot.host_labels = at::empty(labels.sizes(), pinned.dtype(at::kLong));
      slot.host_jobs = at::empty({job_bytes}, pinned.dtype(at::kByte));
      slot.pixels = at::empty(slot.host_pixels.sizes(), pixels.options());
      slot.labels = at::empty_like(labels);
      slot.jobs = at::empty({job_bytes}, pixels.options());
      if (!mixes) continue;
      slot.host_partner_labels = at::empty(labels.sizes(), pinned.dtype(at::kLong));
      slot.host_partners = at::empty(labels.sizes(), pinned.dtype(at::kInt));
      slot.partner_labels = at::empty_like(labels);
      slot.partners = at::empty(labels.sizes(), labels.options().dtype(at::kInt));
    }
  }

  // Whom each picture is mixed with, to the device; on the copying stream, which is current.
  void SendPartners(Slot& slot, const int32_t* labels, const BatchMix& mix) const {
    const auto n = static_cast<int64_t>(mix.partners.size());
    std::copy_n(mix.partners.data(), n, slot.host_partners.data_ptr<int32_t>());
    PartnerLabels(labels, mix, slot.host_partner_labels.data_ptr<int64_t>());
    const auto send = [n](const at::Tensor& to, const at::Tensor& from) {
      to.narrow(0, 0, n).copy_(from.narrow(0, 0, n), /*non_blocking=*/true);
    };
    send(slot.partners, slot.host_partners);
    send(slot.partner_labels, slot.host_partner_labels);
  }

  // From slot.pixels to the batch, on the compute stream.
  void Mix(const Slot& slot, const BatchMix& mix, const at::Tensor& to, void* stream) const {
    const int error =
        MixOnGpu(slot.pixels.const_data_ptr<uint8_t>(), slot.partners.const_data_ptr<int32_t>(),
                 mix.plan, to.size(0), to.size(1), to.data_ptr<uint8_t>(), stream);
    if (error != 0) {
      throw TrainError(ErrorKind::kInternal,
                       std::string("mixing pictures on the GPU: ") +
                           cudaGetErrorString(static_cast<cudaError_t>(error)));
    }
  }

  // Into slot.pixels, on the copying stream, which is current.
  void Render(Slot& slot, const std::vector<RenderJob>& jobs, int64_t side,
              ResidentStore& store) const {
    const size_t bytes = jobs.size() * sizeof(RenderJob);
    std::memcpy(slot.host_jobs.data_ptr(), jobs.data(), bytes);
    const auto length = static_cast<int64_t>(bytes);
    slot.jobs.narrow(0, 0, length)
        .copy_(slot.host_jobs.narrow(0, 0, length), /*non_blocking=*/true);
    store.AwaitPictures();
    const int error = RenderOnGpu(static_cast<const RenderJob*>(slot.jobs.const_data_ptr()),
                                  static_cast<int64_t>(jobs.size()), side,
                                  slot.pixels.data_ptr<uint8_t>(), copying.stream());
    if (error != 0) {
      throw TrainError(ErrorKind::kInternal,
                       std::string("rendering pictures on the GPU: ") +
                           cudaGetErrorString(static_cast<cudaError_t>(error)));
    }
  }

  c10::cuda::CUDAStream copying;
  std::array<Slot, 2> slots;
  size_t next = 0;
};

#else

struct InputStage::Gpu {};

#endif

InputStage::InputStage(at::Device device, at::ScalarType compute, int64_t largest, int64_t side,
                       bool mixes)
    : device_(device),
      compute_(compute),
      side_(side),
      labels_(at::empty({largest}, at::device(device).dtype(at::kLong))) {
  if (mixes) {
    partner_labels_ = at::empty_like(labels_);
    partner_shares_ = at::empty({largest}, at::device(device).dtype(at::kFloat));
  }
  if (device.is_cpu()) return;
#ifdef MEAD_HAVE_CUDA
  pixels_ = at::empty({largest, side, side, 3}, at::device(device).dtype(at::kByte));
  gpu_ = std::make_unique<Gpu>(pixels_, labels_, mixes);
#endif
}

InputStage::~InputStage() = default;

std::vector<RenderJob> InputStage::JobsOf(const PlannedPicture* planned, int64_t n) const {
  std::vector<RenderJob> jobs;
  for (int64_t i = 0; planned != nullptr && i < n; ++i) {
    if (planned[i].picture == PlannedPicture::kNone) continue;
    const auto found = store_ == nullptr
                           ? std::nullopt
                           : store_->Locate(static_cast<uint64_t>(planned[i].picture));
    if (!found.has_value()) {
      throw TrainError(ErrorKind::kInternal,
                       "picture " + std::to_string(planned[i].picture) + " at place " +
                           std::to_string(i) +
                           " of the batch is to be rendered, and the device does not hold it");
    }
    jobs.push_back(
        {.source = found->pixels, .size = found->size, .plan = planned[i].plan, .place = i});
  }
  return jobs;
}

DeviceBatch InputStage::Load(const uint8_t* pixels, const int32_t* labels, int64_t n,
                             const PlannedPicture* planned, const BatchMix* mix) {
  if (device_.is_cpu()) return LoadOnCpu(pixels, labels, n, planned, mix);
  DeviceBatch batch{pixels_.narrow(0, 0, n), labels_.narrow(0, 0, n), compute_};
  if (mix != nullptr) {
    batch.partner_labels = partner_labels_.narrow(0, 0, n);
    batch.partner_shares = partner_shares_.narrow(0, 0, n);
  }
#ifdef MEAD_HAVE_CUDA
  if (n == 0) return batch;
  const c10::cuda::CUDAGuard guard(device_);
  const auto compute_stream = c10::cuda::getCurrentCUDAStream(device_.index());
  const int64_t places = mix == nullptr ? n : mix->pictures;
  const std::vector<Run> runs = PixelRuns(planned, places);
  const std::vector<RenderJob> jobs = JobsOf(planned, places);
  const int64_t picture_bytes = side_ * side_ * 3;
  Gpu::Slot& slot = gpu_->slots[gpu_->next++ % gpu_->slots.size()];
  slot.arrived.synchronize();  // of the batch before the last: its host memory is free again
  for (const Run& run : runs) {
    const int64_t begin = run.begin * picture_bytes;
    std::memcpy(slot.host_pixels.data_ptr<uint8_t>() + begin, pixels + begin,
                static_cast<size_t>(run.count * picture_bytes));
  }
  std::copy_n(labels, n, slot.host_labels.data_ptr<int64_t>());
  {
    const c10::cuda::CUDAStreamGuard copying(gpu_->copying);
    slot.taken.block(gpu_->copying);
    for (const Run& run : runs) {
      slot.pixels.narrow(0, run.begin, run.count)
          .copy_(slot.host_pixels.narrow(0, run.begin, run.count), /*non_blocking=*/true);
    }
    if (!jobs.empty()) gpu_->Render(slot, jobs, side_, *store_);
    slot.labels.narrow(0, 0, n).copy_(slot.host_labels.narrow(0, 0, n), /*non_blocking=*/true);
    if (mix != nullptr) gpu_->SendPartners(slot, labels, *mix);
    slot.arrived.record(gpu_->copying);
  }
  slot.arrived.block(compute_stream);
  batch.labels.copy_(slot.labels.narrow(0, 0, n), /*non_blocking=*/true);
  if (mix == nullptr) {
    batch.pixels.copy_(slot.pixels.narrow(0, 0, n), /*non_blocking=*/true);
  } else {
    gpu_->Mix(slot, *mix, batch.pixels, compute_stream.stream());
    batch.partner_labels.copy_(slot.partner_labels.narrow(0, 0, n), /*non_blocking=*/true);
    batch.partner_shares.fill_(PartnerShare(mix->plan, static_cast<int>(side_)));
  }
  slot.taken.record(compute_stream);
#endif
  return batch;
}

DeviceBatch InputStage::LoadOnCpu(const uint8_t* pixels, const int32_t* labels, int64_t n,
                                  const PlannedPicture* planned, const BatchMix* mix) {
  DeviceBatch batch{{}, labels_.narrow(0, 0, n), compute_};
  std::copy_n(labels, n, labels_.data_ptr<int64_t>());
  if (mix == nullptr) {
    batch.pixels = GatherOnCpu(pixels, n, planned);
    return batch;
  }
  batch.partner_labels = partner_labels_.narrow(0, 0, n);
  batch.partner_shares = partner_shares_.narrow(0, 0, n);
  PartnerLabels(labels, *mix, partner_labels_.data_ptr<int64_t>());
  batch.partner_shares.fill_(PartnerShare(mix->plan, static_cast<int>(side_)));
  const at::Tensor gathered = GatherOnCpu(pixels, mix->pictures, planned);
  if (!mixed_.defined()) {
    mixed_ = at::empty({labels_.size(0), side_, side_, 3}, at::dtype(at::kByte));
  }
  batch.pixels = mixed_.narrow(0, 0, n);
  if (n == 0) return batch;
  MixOnCpu(gathered.const_data_ptr<uint8_t>(), mix->partners.data(), mix->plan, n, side_,
           mixed_.data_ptr<uint8_t>());
  return batch;
}

at::Tensor InputStage::GatherOnCpu(const uint8_t* pixels, int64_t n,
                                   const PlannedPicture* planned) {
  if (n == 0) return at::empty({0, side_, side_, 3}, at::dtype(at::kByte));
  if (planned == nullptr) {
    // Read before this call's caller goes on: no copy.
    return at::from_blob(const_cast<uint8_t*>(pixels), {n, side_, side_, 3}, at::dtype(at::kByte));
  }
  if (!pixels_.defined()) {
    const int64_t places = labels_.size(0) + (partner_labels_.defined() ? 1 : 0);
    pixels_ = at::empty({places, side_, side_, 3}, at::dtype(at::kByte));
  }
  auto* to = pixels_.data_ptr<uint8_t>();
  for (const Run& run : PixelRuns(planned, n)) {
    const int64_t begin = run.begin * side_ * side_ * 3;
    std::memcpy(to + begin, pixels + begin, static_cast<size_t>(run.count * side_ * side_ * 3));
  }
  const std::vector<RenderJob> jobs = JobsOf(planned, n);
  RenderOnCpu(jobs.data(), static_cast<int64_t>(jobs.size()), side_, to);
  return pixels_.narrow(0, 0, n);
}

}  // namespace mead::train
