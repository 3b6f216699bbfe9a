#include "worker/train/session.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "worker/train/device.h"
#include "worker/train/graph/step_graph.h"
#include "worker/train/image_size.h"
#include "worker/train/memory/cpu_pool.h"
#include "worker/train/objective_watch.h"
#include "worker/train/optim/layer_groups.h"
#include "worker/train/optim/schedule.h"
#include "worker/train/recording.h"
#include "worker/train/stall_clock.h"
#include "worker/train/state/checkpoint.h"
#include "worker/train/state/checkpoint_writer.h"
#include "worker/train/state/weights.h"
#include "worker/train/step.h"
#include "worker/train/steps_under_way.h"

namespace mead::train {
namespace {

TrainOptions Validated(const TrainOptions& options) {
  Validate(options);
  InstallCpuPool(options.memory_limit_bytes);
  // Before the first tensor: threads that LibTorch starts inherit both.
  at::set_num_threads(options.threads);
  at::globalContext().setFlushDenormal(true);
  // Input shapes never change, so cuDNN's search for the fastest algorithms pays.
  at::globalContext().setBenchmarkCuDNN(true);
  return options;
}

// The most pictures that one rank gets of a batch.
int64_t LargestSlice(const TrainOptions& options, int world_size) {
  if (options.virtual_ranks == 0) return (options.batch_size + world_size - 1) / world_size;
  const int64_t piece = (options.batch_size + options.virtual_ranks - 1) / options.virtual_ranks;
  return std::min(piece * (options.virtual_ranks / world_size), options.batch_size);
}

}  // namespace

struct TrainingSession::Impl {
  // To be constructed on that stream: tensors and hooks belong to the one that was
  // current when they were made.
  Impl(const TrainOptions& valid, at::Device where, ComputeStream its_stream,
       std::shared_ptr<Communicator> gang)
      : options(valid),
        device(where),
        stream(std::move(its_stream)),
        communicator(std::move(gang)),
        largest_slice(LargestSlice(options, communicator->world_size())),
        micro_batch(options.micro_batch),
        model({.model = options.model,
               .num_classes = options.num_classes,
               .seed = options.seed,
               .device = device,
               .compute = TypeOf(options.precision),
               .stride_in_first = options.stride_in_first}),
        optimizer(options.optimizer, Groups(), model.copies()),
        average(options.ema_decay > 0
                    ? std::make_unique<WeightAverage>(model.parameters(), options.ema_decay)
                    : nullptr),
        step(options, model, optimizer, average.get(), *communicator),
        records(RecordsSteps(options,
                             {.gpu = device.is_cuda(), .capturable = communicator->capturable()})),
        graph(records),
        steps(communicator->world_size()),
        watch(options) {
    step.SetBeforeMove([this] { AwaitCheckpointData(); });
    if (options.virtual_ranks % communicator->world_size() != 0) {
      throw TrainError(ErrorKind::kUserError, std::to_string(options.virtual_ranks) +
                                                  " virtual ranks cannot be dealt to " +
                                                  std::to_string(communicator->world_size()) +
                                                  " ranks alike");
    }
    StartEpoch(1);
  }

  void StartEpoch(int epoch) {
    const PhaseSpan next = PhaseOfEpoch(options, epoch);
    watch.EnterPhase(next.index);
    if (phase && phase->index == next.index) return;
    phase = next;
    TakePicturesOf(ImageSizeOf(options, next.phase));
    graph.Reset();
    step.SetLearning(LearningIn(next.phase));
  }

  std::vector<size_t> LearningIn(const Phase& of) const {
    std::vector<size_t> learning;
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      if (LearnsIn(of, model.parameters()[i].name)) learning.push_back(i);
    }
    return learning;
  }

  // A pass of each kind that the phases have: the largest pictures, or the most that learns.
  void TryPass(int64_t pictures) {
    std::set<std::pair<int, std::vector<size_t>>> kinds;
    for (const Phase& of : options.phases) kinds.emplace(ImageSizeOf(options, of), LearningIn(of));
    if (kinds.empty()) kinds.emplace(options.image_size, LearningIn({}));
    for (const auto& [size, learning] : kinds) step.TryPass(pictures, size, learning);
  }

  void TakePicturesOf(int size) {
    if (input != nullptr && size == side) return;
    steps.Await();  // they read from the old one
    side = size;
    input.reset();
    // Slices may be dealt out unevenly.
    input = std::make_unique<InputStage>(device, TypeOf(options.precision), options.batch_size,
                                         side, options.mixes);
  }

  std::vector<ParameterGroup> Groups() const {
    std::vector<ParameterGroup> groups;
    for (const std::string& name : GroupNames(options)) groups.push_back({.name = name});
    for (const NamedTensor& parameter : model.parameters()) {
      groups[GroupOf(options, parameter.name)].parameters.push_back(parameter);
    }
    return groups;
  }

  // What a weights file may hold.
  std::vector<NamedTensor> ModelTensors() const {
    std::vector<NamedTensor> tensors = model.parameters();
    tensors.insert(tensors.end(), model.buffers().begin(), model.buffers().end());
    return tensors;
  }

  TrainState State() const {
    TrainState state{.model = ModelTensors(), .optimizer = optimizer.state()};
    if (average) {
      state.optimizer.insert(state.optimizer.end(), average->state().begin(),
                             average->state().end());
    }
    return state;
  }

  // Where a checkpoint of now is saved.
  ResumePoint PointOf(int epoch, const EpochSoFar& so_far) const {
    return {.epoch = epoch,
            .global_step = steps.next_step(),
            .so_far = so_far,
            .notes = watch.ToMetadata()};
  }

  // Before weights come from a file: what the steps so far were is of no more
  // interest, a divergence included.
  void ForgetSteps() {
    AwaitCheckpointData();
    EndEvaluation();
    steps.Forget();
    step.ForgetDivergence();
  }

  // After the parameters have been written to.
  void WeightsChanged() {
    model.RefreshWorking();
    if (average) average->Restart();
  }

  double PeakShare() const {
    if (options.range_test.steps > 0) {
      return RangeTestRate(options.range_test, steps.next_step()) / options.optimizer.lr;
    }
    return LearningRateFactor(options, steps.next_step() - phase->first_step, phase->steps,
                              watch.cuts());
  }

  double HeadRate(double peak_share) const {
    return options.optimizer.lr * peak_share * phase->phase.head_lr_scale;
  }

  std::vector<double> Rates(double peak_share) const {
    std::vector<double> rates = RateFactors(options, phase->phase);
    for (double& rate : rates) rate *= options.optimizer.lr * peak_share;
    return rates;
  }

  void CheckLabels(const int32_t* labels, int n) const {
    for (int i = 0; i < n; ++i) {
      if (labels[i] < 0 || labels[i] >= options.num_classes) {
        throw TrainError(ErrorKind::kInternal, "label " + std::to_string(labels[i]) + " at place " +
                                                   std::to_string(i) +
                                                   " of the batch is not in [0, " +
                                                   std::to_string(options.num_classes) + ")");
      }
    }
  }

  DeviceBatch Load(const uint8_t* pixels, const int32_t* labels, int n,
                   const PlannedPicture* planned, const BatchMix* mix = nullptr) {
    CheckLabels(labels, mix == nullptr ? n : mix->pictures);
    return input->Load(pixels, labels, n, planned, mix);
  }

  void CheckMix(int n, const BatchMix* mix) const {
    if (options.mixes != (mix != nullptr)) {
      throw TrainError(ErrorKind::kInternal,
                       options.mixes ? "a batch came without what is mixed in it"
                                     : "a batch came to be mixed, which the options do not say");
    }
    if (mix == nullptr) return;
    const auto outside = [&](int32_t place) { return place < 0 || place >= mix->pictures; };
    if (std::ssize(mix->partners) != n || mix->pictures < n || mix->pictures > n + 1 ||
        std::any_of(mix->partners.begin(), mix->partners.end(), outside)) {
      throw TrainError(ErrorKind::kInternal,
                       std::to_string(mix->partners.size()) + " partners of " + std::to_string(n) +
                           " pictures, in a batch of " + std::to_string(mix->pictures));
    }
  }

  std::vector<Piece> PiecesOf(int n, int64_t global_n) const {
    if (options.virtual_ranks == 0) return SplitEvenly(n, micro_batch);
    const std::vector<Piece> pieces = SplitVirtually(
        global_n, options.virtual_ranks, communicator->rank(), communicator->world_size());
    const int64_t sum = pieces.back().begin + pieces.back().count;
    if (sum != n) {
      throw TrainError(ErrorKind::kInternal, "this rank's virtual ranks have " +
                                                 std::to_string(sum) + " pictures of the batch, " +
                                                 std::to_string(n) + " came");
    }
    return pieces;
  }

  // The most pictures that go through the network at once.
  int64_t LargestPass() const {
    if (options.virtual_ranks > 0) return LargestSlice(options, options.virtual_ranks);
    return micro_batch > 0 ? std::min<int64_t>(micro_batch, largest_slice) : largest_slice;
  }

  int FitMemory() {
    // Pieces of virtual ranks are given: they fit, or the trial cannot run here.
    const bool given = options.virtual_ranks > 0;
    int64_t piece = LargestPass();
    for (;; piece = (piece + 1) / 2) {
      try {
        Translated("trying a step", [&] { TryPass(piece); });
        break;
      } catch (const TrainError& error) {
        if (error.kind() != ErrorKind::kOutOfMemory) throw;
        if (piece == 1 || given) throw DoesNotFit(piece, error.what());
      }
    }
    micro_batch = piece < largest_slice && !given ? static_cast<int>(piece) : 0;
    return micro_batch;
  }

  TrainError DoesNotFit(int64_t piece, const std::string& cause) const {
    const std::string size = std::to_string(LargestImageSize(options));
    std::string what = "not even one picture goes";
    std::string remedy = "make image_size smaller or take a smaller model";
    if (piece > 1) {
      what = "the " + std::to_string(piece) + " pictures of a virtual rank do not go";
      remedy += ", or more virtual_ranks";
    }
    return {ErrorKind::kOutOfMemory, what + " into memory at " + size + " x " + size + " with " +
                                         options.model + "; " + remedy + " (" + cause + ")"};
  }

  // The other half is left to what was not tried: a recorded step takes its memory anew.
  uint64_t ResidentBytes() const {
    if (options.resident_bytes != kResidentAuto) {
      return static_cast<uint64_t>(options.resident_bytes);
    }
    return static_cast<uint64_t>(FreeDeviceBytes(device)) / 2;
  }

  std::shared_ptr<PictureStore> KeepPictures() {
    const uint64_t bytes = ResidentBytes();
    if (bytes == 0) return nullptr;
    auto store = std::make_shared<ResidentStore>(device, bytes);
    input->UseStore(store);
    return store;
  }

  void StartStep(const uint8_t* pixels, const int32_t* labels, int n, int64_t global_n,
                 const PlannedPicture* planned, const BatchMix* mix) {
    CheckMix(n, mix);
    if (n < 0 || global_n < std::max(n, 1)) {
      throw TrainError(ErrorKind::kInternal, "a slice of " + std::to_string(n) +
                                                 " pictures of a global batch of " +
                                                 std::to_string(global_n));
    }
    if (n > input->largest()) {
      throw TrainError(ErrorKind::kInternal, "a slice of " + std::to_string(n) +
                                                 " pictures, where a batch of " +
                                                 std::to_string(options.batch_size) + " gives " +
                                                 std::to_string(input->largest()) + " at most");
    }
    const std::vector<Piece> pieces = PiecesOf(n, global_n);
    const bool recordable = records && RecordsStepOf(options, global_n);
    if (recordable && recorded_n.value_or(n) != n) {
      throw TrainError(ErrorKind::kInternal,
                       "a slice of " + std::to_string(n) + " pictures of a whole batch, where " +
                           std::to_string(*recorded_n) +
                           " came before: a recorded step cannot take another share");
    }
    if (recordable) recorded_n = n;
    EndEvaluation();
    steps.MakeRoom();
    const double peak_share = PeakShare();
    const double head_rate = HeadRate(peak_share);
    optimizer.SetRates(Rates(peak_share));
    const DeviceBatch batch = Load(pixels, labels, n, planned, mix);
    auto run = [&] { return step.Run(batch, pieces, global_n); };
    const at::Tensor figures = recordable ? graph.Run(global_n, run) : run();
    HostCopy copy(figures);
    steps.Add(std::move(copy), communicator->Watch(), global_n, head_rate);
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

  void StartEvaluation() {
    BroadcastAll(model.buffers());
    if (!average || averaged) return;
    AwaitCheckpointData();
    averaged.emplace(*average);
    model.RefreshWorking();
  }

  void EndEvaluation() {
    if (!averaged) return;
    averaged.reset();
    model.RefreshWorking();
  }

  // What StateNow() gave is no longer needed after this.
  void AwaitCheckpointData() {
    const StallClock::Scope scope(stall);
    writer.AwaitData();
  }

  // A state to be read while the next step computes: of the CPU's tensors those that move
  // only at its end (see AwaitCheckpointData), copies of the others. The caller has awaited
  // the steps.
  TrainState StateNow() const {
    at::NoGradGuard no_grad;
    TrainState state = State();
    std::set<std::string> moves_early;  // batch-norm's statistics
    for (const NamedTensor& buffer : model.buffers()) moves_early.insert(buffer.name);
    const auto keep = [&](std::vector<NamedTensor>& tensors) {
      for (NamedTensor& named : tensors) {
        if (device.is_cuda()) {
          // The device's memory is for steps, which may run ahead in it.
          named.tensor = named.tensor.detach().to(at::kCPU);
        } else if (moves_early.contains(named.name)) {
          named.tensor = named.tensor.detach().clone();
        }
      }
    };
    keep(state.model);
    keep(state.optimizer);
    return state;
  }

  const TrainOptions options;
  const at::Device device;
  const ComputeStream stream;
  const std::shared_ptr<Communicator> communicator;
  const int64_t largest_slice;
  int micro_batch;  // pictures per piece; 0: whole batches
  int side = 0;     // of the pictures of this epoch
  std::unique_ptr<InputStage> input;
  ResNet model;
  Optimizer optimizer;
  std::unique_ptr<WeightAverage> average;  // or none
  std::optional<WeightAverage::Scope> averaged;
  TrainingStep step;
  const bool records;  // steps, as a graph
  StepGraph graph;
  StepsUnderWay steps;
  std::optional<int> recorded_n;  // this rank's share of whole batches
  std::optional<PhaseSpan> phase;
  ObjectiveWatch watch;
  StallClock stall;
  CheckpointWriter writer;  // last: the state outlives what reads it
};

// Runs f on the session's stream; LibTorch's errors come out as TrainError.
template <typename F>
auto TrainingSession::OnStream(const char* doing, F&& f) {
  return Translated(doing, [&] {
    const ComputeStream::Scope scope(impl_->stream);
    return f();
  });
}

TrainingSession::TrainingSession(const TrainOptions& options,
                                 std::shared_ptr<Communicator> communicator) {
  Translated("building the model", [&] {
    const TrainOptions valid = Validated(options);
    const at::Device device = ParseDevice(valid.device);
    ComputeStream stream(device);
    const ComputeStream::Scope scope(stream);
    impl_ = std::make_unique<Impl>(valid, device, std::move(stream), std::move(communicator));
  });
  OnStream("sharing the first weights", [&] {
    // The same seed gives the same weights already; this also holds when ranks
    // run on different kinds of machines.
    impl_->BroadcastAll(impl_->model.parameters());
    impl_->WeightsChanged();
  });
}

// A warm trainer that waits for its next trial must not keep a step's memory from
// the other ranks of the node, nor take it for used when it looks what there is.
TrainingSession::~TrainingSession() {
  impl_.reset();
  TrimCpuPool();
}

WeightsReport TrainingSession::LoadWeights(const std::string& path) {
  return OnStream("loading weights", [&] {
    impl_->ForgetSteps();
    WeightsReport report = CopyFromWeights(path, impl_->ModelTensors(), {kOptimizerPrefix});
    if (report.loaded.empty()) {
      throw TrainError(ErrorKind::kUserError,
                       path + ": no tensor fits " + impl_->options.model + ": " + report.Summary());
    }
    impl_->WeightsChanged();
    return report;
  });
}

ResumePoint TrainingSession::Resume(const std::string& path) {
  return OnStream("resuming", [&] {
    impl_->ForgetSteps();
    const ResumePoint point = ReadCheckpoint(path, impl_->options, impl_->State());
    impl_->model.RefreshWorking();
    impl_->steps.GoOnWith(point.global_step);
    impl_->watch.FromMetadata(point.notes);
    impl_->StartEpoch(point.epoch + 1);
    return point;
  });
}

int TrainingSession::FitMemory() {
  return OnStream("trying a step", [&] { return impl_->FitMemory(); });
}

std::shared_ptr<PictureStore> TrainingSession::KeepPictures() {
  return OnStream("making room for pictures", [&] { return impl_->KeepPictures(); });
}

void TrainingSession::StartEpoch(int epoch) {
  OnStream("starting an epoch", [&] { impl_->StartEpoch(epoch); });
}

void TrainingSession::StartStep(const uint8_t* pixels, const int32_t* labels, int n,
                                int64_t global_n, const PlannedPicture* planned,
                                const BatchMix* mix) {
  OnStream("in the training step",
           [&] { impl_->StartStep(pixels, labels, n, global_n, planned, mix); });
}

std::vector<StepResult> TrainingSession::FinishedSteps(bool wait) {
  return OnStream("in the training step", [&] { return impl_->steps.Finished(wait); });
}

StepResult TrainingSession::TrainStep(const uint8_t* pixels, const int32_t* labels, int n,
                                      int64_t global_n) {
  StartStep(pixels, labels, n, global_n);
  return FinishedSteps(/*wait=*/true).back();
}

void TrainingSession::StartEvaluation() {
  OnStream("starting an evaluation", [&] { impl_->StartEvaluation(); });
}

void TrainingSession::EndEvaluation() {
  OnStream("ending an evaluation", [&] { impl_->EndEvaluation(); });
}

EvalResult TrainingSession::EvalStep(const uint8_t* pixels, const int32_t* labels, int n) {
  if (n == 0) return {};
  return OnStream("in evaluation", [&] {
    impl_->steps.Await();
    EvalResult result;
    // A validation batch may be larger than what fits at once.
    const int64_t side = impl_->side;
    const int64_t largest = impl_->LargestPass();
    for (int64_t begin = 0; begin < n; begin += largest) {
      const auto count = static_cast<int>(std::min<int64_t>(largest, n - begin));
      const DeviceBatch batch =
          impl_->Load(pixels + begin * side * side * 3, labels + begin, count, /*planned=*/nullptr);
      const at::Tensor logits = impl_->step.Predict(batch);
      const at::Tensor loss = TrainingStep::LossSum(logits, batch.labels, /*smoothing=*/0);
      // [count, K]
      const at::Tensor log_probabilities = logits.log_softmax(1).to(at::kCPU).contiguous();
      const auto* values = log_probabilities.const_data_ptr<float>();
      result.log_probabilities.insert(result.log_probabilities.end(), values,
                                      values + log_probabilities.numel());
      const at::Tensor predicted = log_probabilities.argmax(1).to(at::kInt);
      const auto* ids = predicted.const_data_ptr<int32_t>();
      result.predicted.insert(result.predicted.end(), ids, ids + count);
      result.loss_sum += loss.item<double>();
    }
    return result;
  });
}

void TrainingSession::EndEpoch(double objective) { impl_->watch.Add(objective); }

bool TrainingSession::stops_early() const { return impl_->watch.stops(); }

void TrainingSession::SaveCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far) {
  OnStream("saving a checkpoint", [&] {
    impl_->steps.Await();
    impl_->EndEvaluation();
    WriteCheckpoint(path, impl_->options, impl_->State(), impl_->PointOf(epoch, so_far));
  });
}

void TrainingSession::StartCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far,
                                      std::function<void()> written) {
  OnStream("saving a checkpoint", [&] {
    impl_->steps.Await();
    impl_->EndEvaluation();
    impl_->stall.NextCheckpoint();
    const StallClock::Scope scope(impl_->stall);
    impl_->writer.Await();
    const ResumePoint point = impl_->PointOf(epoch, so_far);
    impl_->writer.Start([path, point, options = impl_->options, state = impl_->StateNow(),
                         written = std::move(written)](const std::function<void()>& data_read) {
      Translated("saving a checkpoint",
                 [&] { WriteCheckpoint(path, options, state, point, data_read); });
      if (written) written();
    });
  });
}

bool TrainingSession::checkpoint_under_way() const { return impl_->writer.busy(); }

void TrainingSession::AwaitCheckpoint() {
  OnStream("saving a checkpoint", [&] { impl_->writer.Await(); });
}

double TrainingSession::TakeCheckpointStall() { return impl_->stall.TakeLongest(); }

int64_t TrainingSession::global_step() const { return impl_->steps.next_step(); }

int64_t TrainingSession::replayed_steps() const { return impl_->graph.replays(); }

double TrainingSession::learning_rate() const { return impl_->HeadRate(impl_->PeakShare()); }

int TrainingSession::image_size() const { return impl_->side; }

int64_t TrainingSession::parameter_count() const { return impl_->model.parameter_count(); }

Communicator& TrainingSession::communicator() { return *impl_->communicator; }

}  // namespace mead::train
