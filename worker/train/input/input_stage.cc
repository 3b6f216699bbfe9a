#include "worker/train/input/input_stage.h"

#include <algorithm>
#include <cstring>

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
    at::cuda::CUDAEvent arrived;                     // host to device
    at::cuda::CUDAEvent taken;                       // device to pixels_ and labels_
  };

  Gpu(const at::Tensor& pixels, const at::Tensor& labels)
      : copying(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, pixels.device().index())) {
    const int64_t job_bytes = labels.size(0) * static_cast<int64_t>(sizeof(RenderJob));
    for (Slot& slot : slots) {
      const auto pinned = at::TensorOptions().pinned_memory(true);
      slot.host_pixels = at::empty(pixels.sizes(), pinned.dtype(at::kByte));
      slot.host_labels = at::empty(labels.sizes(), pinned.dtype(at::kLong));
      slot.host_jobs = at::empty({job_bytes}, pinned.dtype(at::kByte));
      slot.pixels = at::empty_like(pixels);
      slot.labels = at::empty_like(labels);
      slot.jobs = at::empty({job_bytes}, pixels.options());
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

InputStage::InputStage(at::Device device, at::ScalarType compute, int64_t largest, int64_t side)
    : device_(device),
      compute_(compute),
      side_(side),
      labels_(at::empty({largest}, at::device(device).dtype(at::kLong))) {
  if (device.is_cpu()) return;
#ifdef MEAD_HAVE_CUDA
  pixels_ = at::empty({largest, side, side, 3}, at::device(device).dtype(at::kByte));
  gpu_ = std::make_unique<Gpu>(pixels_, labels_);
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
                             const PlannedPicture* planned) {
  if (device_.is_cpu()) return LoadOnCpu(pixels, labels, n, planned);
  const at::Tensor to_pixels = pixels_.narrow(0, 0, n);
  const at::Tensor to_labels = labels_.narrow(0, 0, n);
#ifdef MEAD_HAVE_CUDA
  if (n == 0) return {to_pixels, to_labels, compute_};
  const c10::cuda::CUDAGuard guard(device_);
  const auto compute_stream = c10::cuda::getCurrentCUDAStream(device_.index());
  const std::vector<Run> runs = PixelRuns(planned, n);
  const std::vector<RenderJob> jobs = JobsOf(planned, n);
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
    slot.arrived.record(gpu_->copying);
  }
  slot.arrived.block(compute_stream);
  at::Tensor(to_pixels).copy_(slot.pixels.narrow(0, 0, n), /*non_blocking=*/true);
  at::Tensor(to_labels).copy_(slot.labels.narrow(0, 0, n), /*non_blocking=*/true);
  slot.taken.record(compute_stream);
#endif
  return {to_pixels, to_labels, compute_};
}

DeviceBatch InputStage::LoadOnCpu(const uint8_t* pixels, const int32_t* labels, int64_t n,
                                  const PlannedPicture* planned) {
  const at::Tensor to_labels = labels_.narrow(0, 0, n);
  std::copy_n(labels, n, labels_.data_ptr<int64_t>());
  if (n == 0) return {at::empty({0, side_, side_, 3}, at::dtype(at::kByte)), to_labels, compute_};
  if (planned == nullptr) {
    // Read before this call's caller goes on: no copy.
    return {at::from_blob(const_cast<uint8_t*>(pixels), {n, side_, side_, 3}, at::dtype(at::kByte)),
            to_labels, compute_};
  }
  if (!pixels_.defined()) {
    pixels_ = at::empty({labels_.size(0), side_, side_, 3}, at::dtype(at::kByte));
  }
  auto* to = pixels_.data_ptr<uint8_t>();
  for (const Run& run : PixelRuns(planned, n)) {
    const int64_t begin = run.begin * side_ * side_ * 3;
    std::memcpy(to + begin, pixels + begin, static_cast<size_t>(run.count * side_ * side_ * 3));
  }
  const std::vector<RenderJob> jobs = JobsOf(planned, n);
  RenderOnCpu(jobs.data(), static_cast<int64_t>(jobs.size()), side_, to);
  return {pixels_.narrow(0, 0, n), to_labels, compute_};
}

}  // namespace mead::train
