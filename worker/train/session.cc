#include "worker/train/session.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "worker/train/comm/reducer.h"
#include "worker/train/input/input_stage.h"
#include "worker/train/memory/cpu_pool.h"
#include "worker/train/model/resnet.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/optim/schedule.h"
#include "worker/train/state/checkpoint.h"
#include "worker/train/state/weights.h"

namespace mead::train {
namespace {

// Runs convolutions and matrix products in bfloat16 while it lives. No gradient
// scaling: bfloat16 has float32's range.
class AutocastScope {
 public:
  AutocastScope(at::DeviceType device, bool enabled) : device_(device), enabled_(enabled) {
    if (!enabled_) return;
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::increment_nesting();
  }
  ~AutocastScope() {
    if (!enabled_) return;
    // The cache holds bfloat16 copies of weights that the next step changes.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, false);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
};

at::Device ParseDevice(const std::string& text) {
  const bool known = text == "cpu" || text == "cuda" || text.starts_with("cuda:");
  if (!known) {
    throw TrainError(ErrorKind::kUserError, "device '" + text + "' is not 'cpu' or 'cuda:N'");
  }
  const at::Device device = Translated("choosing the device", [&] { return at::Device(text); });
#ifdef MEAD_HAVE_CUDA
  const int gpus = device.is_cuda() ? c10::cuda::device_count() : 0;
#else
  const int gpus = 0;
#endif
  if (device.is_cuda() && std::max<int>(device.index(), 0) >= gpus) {
    throw TrainError(ErrorKind::kUserError, "device '" + text +
                                                "' was asked for and this machine "
                                                "has " +
                                                std::to_string(gpus) + " usable GPUs");
  }
  return device;
}

TrainOptions Validated(const TrainOptions& options) {
  Validate(options);
  InstallCpuPool();
  // Before the first tensor: threads that LibTorch starts inherit both.
  at::set_num_threads(options.threads);
  at::globalContext().setFlushDenormal(true);
  // Input shapes never change, so cuDNN's search for the fastest algorithms pays.
  at::globalContext().setBenchmarkCuDNN(true);
  return options;
}

}  // namespace

struct TrainingSession::Impl {
  Impl(const TrainOptions& given, std::shared_ptr<Communicator> gang)
      : options(Validated(given)),
        device(ParseDevice(options.device)),
        communicator(std::move(gang)),
        input(device, options.precision == Precision::kBf16),
        model({.model = options.model,
               .num_classes = options.num_classes,
               .seed = options.seed,
               .device = device}),
        optimizer(options.optimizer, Parameters(/*head=*/false), Parameters(/*head=*/true)) {
    StartEpoch(1);
  }

  void StartEpoch(int epoch) {
    const PhaseSpan next = PhaseOfEpoch(options, epoch);
    if (phase && phase->index == next.index) return;
    phase = next;
    std::vector<at::Tensor> learning;
    for (const NamedTensor& parameter : model.parameters()) {
      const bool learns = !next.phase.freeze_body || ResNet::IsHead(parameter.name);
      at::Tensor tensor = parameter.tensor;
      tensor.set_requires_grad(learns);
      if (learns) learning.push_back(tensor);
    }
    optimizer.ClearGradients();
    // Frozen layers have no hooks, so the buckets depend on the phase.
    reducer.reset();
    if (communicator->world_size() > 1) {
      reducer = std::make_unique<Reducer>(learning, options.bucket_bytes, *communicator);
    }
  }

  std::vector<NamedTensor> Parameters(bool head) const {
    std::vector<NamedTensor> chosen;
    for (const NamedTensor& parameter : model.parameters()) {
      if (ResNet::IsHead(parameter.name) == head) chosen.push_back(parameter);
    }
    return chosen;
  }

  // What a weights file may hold.
  std::vector<NamedTensor> ModelTensors() const {
    std::vector<NamedTensor> tensors = model.parameters();
    tensors.insert(tensors.end(), model.buffers().begin(), model.buffers().end());
    return tensors;
  }

  TrainState State() const { return {.model = ModelTensors(), .optimizer = optimizer.state()}; }

  double PeakShare() const {
    return LearningRateFactor(options.schedule, global_step - phase->first_step, phase->steps);
  }

  at::Tensor Logits(const uint8_t* pixels, int n, NormStatistics statistics) {
    const at::Tensor images = input.Load(pixels, n, options.image_size);
    const AutocastScope autocast(device.type(), options.precision == Precision::kBf16);
    return model.Forward(images, statistics).to(at::kFloat);  // [n, classes]
  }

  // The sum of the batch's losses; labels: [n], int64.
  static at::Tensor LossSum(const at::Tensor& logits, const at::Tensor& labels, double smoothing) {
    return at::cross_entropy_loss(logits, labels, /*weight=*/{}, at::Reduction::Sum,
                                  /*ignore_index=*/-100, smoothing);
  }

  at::Tensor Labels(const int32_t* labels, int n) const {
    for (int i = 0; i < n; ++i) {
      if (labels[i] < 0 || labels[i] >= options.num_classes) {
        throw TrainError(ErrorKind::kInternal, "label " + std::to_string(labels[i]) + " at place " +
                                                   std::to_string(i) +
                                                   " of the batch is not in [0, " +
                                                   std::to_string(options.num_classes) + ")");
      }
    }
    return at::from_blob(const_cast<int32_t*>(labels), {n}, at::dtype(at::kInt))
        .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
  }

  StepResult TrainStep(const uint8_t* pixels, const int32_t* labels, int n, int64_t global_n) {
    if (n < 0 || global_n < std::max(n, 1)) {
      throw TrainError(ErrorKind::kInternal, "a slice of " + std::to_string(n) +
                                                 " pictures of a global batch of " +
                                                 std::to_string(global_n));
    }
    const double peak_share = PeakShare();
    optimizer.ClearGradients();
    at::Tensor figures = at::zeros({Reducer::kFigures}, at::TensorOptions(device));
    if (n > 0) {
      const at::Tensor truth = Labels(labels, n);
      const at::Tensor logits = Logits(
          pixels, n, options.freeze_batch_norm ? NormStatistics::kRunning : NormStatistics::kBatch);
      const at::Tensor loss = LossSum(logits, truth, options.label_smoothing);
      {
        at::NoGradGuard no_grad;
        figures[0].copy_(loss);
        figures[1].copy_(logits.argmax(1).eq(truth).sum());
      }
      if (reducer) reducer->Start(figures);
      torch::autograd::backward({loss / static_cast<double>(global_n)}, {});
    } else if (reducer) {
      reducer->Start(figures);
    }
    if (reducer) figures = reducer->Finish();
    communicator->Drain();
    const at::Tensor on_host = figures.to(at::kCPU);
    const auto* values = on_host.const_data_ptr<float>();
    StepResult result{.loss = values[0] / static_cast<double>(global_n),
                      .correct = std::llround(values[1]),
                      .samples = global_n,
                      .learning_rate = HeadRate(peak_share)};
    // The loss is the gang's, so every rank stops here together, before the update.
    if (!std::isfinite(result.loss)) {
      throw TrainError(ErrorKind::kDiverged, "the loss is " + std::to_string(result.loss) +
                                                 " at step " + std::to_string(global_step) +
                                                 " with learning rate " +
                                                 std::to_string(result.learning_rate) +
                                                 "; a smaller learning rate may help");
    }
    optimizer.SetRates(options.optimizer.lr * peak_share * phase->phase.body_lr_scale,
                       result.learning_rate);
    optimizer.Step();
    ++global_step;
    return result;
  }

  double HeadRate(double peak_share) const {
    return options.optimizer.lr * peak_share * phase->phase.head_lr_scale;
  }

  // One message for many small tensors.
  void BroadcastAll(const std::vector<NamedTensor>& named) {
    if (communicator->world_size() == 1) return;
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> parts;
    for (const NamedTensor& item : named) {
      if (item.tensor.scalar_type() == at::kFloat) parts.push_back(item.tensor.reshape({-1}));
    }
    at::Tensor flat = at::cat(parts);
    communicator->Broadcast(flat, /*root=*/0);
    int64_t offset = 0;
    for (const NamedTensor& item : named) {
      if (item.tensor.scalar_type() != at::kFloat) continue;
      item.tensor.copy_(flat.narrow(0, offset, item.tensor.numel()).view(item.tensor.sizes()));
      offset += item.tensor.numel();
    }
  }

  TrainOptions options;
  at::Device device;
  std::shared_ptr<Communicator> communicator;
  InputStage input;
  ResNet model;
  Optimizer optimizer;
  std::unique_ptr<Reducer> reducer;  // none in a gang of one
  std::optional<PhaseSpan> phase;
  int64_t global_step = 0;
};

TrainingSession::TrainingSession(const TrainOptions& options,
                                 std::shared_ptr<Communicator> communicator) {
  Translated("building the model", [&] {
    impl_ = std::make_unique<Impl>(options, std::move(communicator));
    // The same seed gives the same weights already; this also holds when ranks
    // run on different kinds of machines.
    impl_->BroadcastAll(impl_->model.parameters());
  });
}

TrainingSession::~TrainingSession() = default;

WeightsReport TrainingSession::LoadWeights(const std::string& path) {
  return Translated("loading weights", [&] {
    const SafetensorsFile file = SafetensorsFile::Open(path);
    WeightsReport report = CopyFromFile(file, impl_->ModelTensors(), {kOptimizerPrefix});
    if (report.loaded.empty()) {
      throw TrainError(ErrorKind::kUserError,
                       path + ": no tensor fits " + impl_->options.model + ": " + report.Summary());
    }
    return report;
  });
}

ResumePoint TrainingSession::Resume(const std::string& path) {
  return Translated("resuming", [&] {
    const ResumePoint point = ReadCheckpoint(path, impl_->options, impl_->State());
    impl_->global_step = point.global_step;
    impl_->StartEpoch(point.epoch + 1);
    return point;
  });
}

void TrainingSession::StartEpoch(int epoch) {
  Translated("starting an epoch", [&] { impl_->StartEpoch(epoch); });
}

StepResult TrainingSession::TrainStep(const uint8_t* pixels, const int32_t* labels, int n,
                                      int64_t global_n) {
  return Translated("in the training step",
                    [&] { return impl_->TrainStep(pixels, labels, n, global_n); });
}

void TrainingSession::StartEvaluation() {
  Translated("sharing batch-norm statistics", [&] { impl_->BroadcastAll(impl_->model.buffers()); });
}

EvalResult TrainingSession::EvalStep(const uint8_t* pixels, const int32_t* labels, int n) {
  if (n == 0) return {};
  return Translated("in evaluation", [&] {
    at::NoGradGuard no_grad;
    const at::Tensor logits = impl_->Logits(pixels, n, NormStatistics::kRunning);
    const at::Tensor loss = Impl::LossSum(logits, impl_->Labels(labels, n), /*smoothing=*/0);
    const at::Tensor predicted = logits.argmax(1).to(at::kCPU, at::kInt);
    const auto* ids = predicted.const_data_ptr<int32_t>();
    return EvalResult{.predicted = {ids, ids + n}, .loss_sum = loss.item<double>()};
  });
}

void TrainingSession::SaveCheckpoint(const std::string& path, int epoch) {
  Translated("saving a checkpoint", [&] {
    WriteCheckpoint(path, impl_->options, impl_->State(),
                    {.epoch = epoch, .global_step = impl_->global_step});
  });
}

int64_t TrainingSession::global_step() const { return impl_->global_step; }

double TrainingSession::learning_rate() const { return impl_->HeadRate(impl_->PeakShare()); }

int64_t TrainingSession::parameter_count() const { return impl_->model.parameter_count(); }

Communicator& TrainingSession::communicator() { return *impl_->communicator; }

}  // namespace mead::train
