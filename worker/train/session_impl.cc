#include "worker/train/session_impl.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "worker/train/batch_share.h"
#include "worker/train/comm/broadcast.h"
#include "worker/train/image_size.h"
#include "worker/train/micro_batch.h"
#include "worker/train/optim/layer_groups.h"
#include "worker/train/recording.h"

namespace mead::train {

TrainingSession::Impl::Impl(const TrainOptions& valid, at::Device where, ComputeStream its_stream,
                            std::shared_ptr<Communicator> gang)
    : options(valid),
      device(where),
      stream(std::move(its_stream)),
      communicator(std::move(gang)),
      micro_batch(options.micro_batch),
      learner(options, device),
      step(options, learner.model(), learner.optimizer(), learner.average(), *communicator),
      records(RecordsSteps(options,
                           {.gpu = device.is_cuda(), .capturable = communicator->capturable()})),
      graph(records),
      steps(communicator->world_size()),
      watch(options) {
  step.SetBeforeMove([this] { AwaitCheckpointData(); });
  if (options.virtual_ranks % communicator->world_size() != 0) {
    throw TrainError(ErrorKind::kUserError,
                     std::to_string(options.virtual_ranks) + " virtual ranks cannot be dealt to " +
                         std::to_string(communicator->world_size()) + " ranks alike");
  }
  StartEpoch(1);
}

void TrainingSession::Impl::StartEpoch(int epoch) {
  const PhaseSpan next = PhaseOfEpoch(options, epoch);
  watch.EnterPhase(next.index);
  if (phase && phase->index == next.index) return;
  phase = next;
  TakePicturesOf(ImageSizeOf(options, next.phase));
  ChooseLearning();
}

void TrainingSession::Impl::ChooseLearning() {
  graph.Reset();
  step.SetLearning(learner.LearningIn(phase->phase));
}

void TrainingSession::Impl::TakePicturesOf(int size) {
  if (input != nullptr && size == side) return;
  steps.Await();  // they read from the old one
  side = size;
  input.reset();
  // Slices may be dealt out unevenly.
  input = std::make_unique<InputStage>(device, TypeOf(options.precision), options.batch_size, side,
                                       options.mixes);
}

int TrainingSession::Impl::FitMemory() {
  micro_batch = FitMicroBatch(
      options, micro_batch, communicator->world_size(),
      [&](int64_t pictures) { Translated("trying a step", [&] { TryPass(pictures); }); });
  return micro_batch;
}

void TrainingSession::Impl::TryPass(int64_t pictures) {
  std::set<std::pair<int, std::vector<size_t>>> kinds;
  for (const Phase& of : options.phases) {
    kinds.emplace(ImageSizeOf(options, of), learner.LearningIn(of));
  }
  if (kinds.empty()) kinds.emplace(options.image_size, learner.LearningIn({}));
  for (const auto& [size, learning] : kinds) step.TryPass(pictures, size, learning);
}

// The other half is left to what was not tried: a recorded step takes its memory anew.
uint64_t TrainingSession::Impl::ResidentBytes() const {
  if (options.resident_bytes != kResidentAuto) {
    return static_cast<uint64_t>(options.resident_bytes);
  }
  return static_cast<uint64_t>(FreeDeviceBytes(device)) / 2;
}

std::shared_ptr<PictureStore> TrainingSession::Impl::KeepPictures() {
  const uint64_t bytes = ResidentBytes();
  if (bytes == 0) return nullptr;
  auto store = std::make_shared<ResidentStore>(device, bytes);
  input->UseStore(store);
  return store;
}

double TrainingSession::Impl::PeakShare() const {
  if (options.range_test.steps > 0) {
    return RangeTestRate(options.range_test, steps.next_step()) / options.optimizer.lr;
  }
  return LearningRateFactor(options, steps.next_step() - phase->first_step, phase->steps,
                            watch.cuts());
}

double TrainingSession::Impl::HeadRate(double peak_share) const {
  return options.optimizer.lr * peak_share * phase->phase.head_lr_scale;
}

std::vector<double> TrainingSession::Impl::Rates(double peak_share) const {
  std::vector<double> rates = RateFactors(options, phase->phase);
  for (double& rate : rates) rate *= options.optimizer.lr * peak_share;
  return rates;
}

DeviceBatch TrainingSession::Impl::Load(const uint8_t* pixels, const int32_t* labels, int n,
                                        const PlannedPicture* planned, const BatchMix* mix) {
  CheckLabels(options, {labels, static_cast<size_t>(mix == nullptr ? n : mix->pictures)});
  return input->Load(pixels, labels, n, planned, mix);
}

void TrainingSession::Impl::StartStep(const uint8_t* pixels, const int32_t* labels, int n,
                                      int64_t global_n, const PlannedPicture* planned,
                                      const BatchMix* mix) {
  CheckMix(options, n, mix);
  CheckShare(options, n, global_n, input->largest());
  const std::vector<Piece> pieces = PiecesOfShare(options, micro_batch, communicator->rank(),
                                                  communicator->world_size(), n, global_n);
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
  learner.optimizer().SetRates(Rates(peak_share));
  const DeviceBatch batch = Load(pixels, labels, n, planned, mix);
  auto run = [&] { return step.Run(batch, pieces, global_n); };
  const at::Tensor figures = recordable ? graph.Run(global_n, run) : run();
  HostCopy copy(figures);
  steps.Add(std::move(copy), communicator->Watch(), global_n, head_rate);
}

void TrainingSession::Impl::StartEvaluation() {
  BroadcastTensors(*communicator, learner.model().buffers());
  if (learner.average() == nullptr || learner.uses_average()) return;
  AwaitCheckpointData();
  learner.UseAverage();
}

void TrainingSession::Impl::EndEvaluation() { learner.UseWeights(); }

EvalResult TrainingSession::Impl::Evaluate(const uint8_t* pixels, const int32_t* labels, int n) {
  steps.Await();
  EvalResult result;
  // A validation batch may be larger than what fits at once.
  const int64_t picture_bytes = int64_t{side} * side * 3;
  const int64_t largest = LargestPass(options, micro_batch, communicator->world_size());
  for (int64_t begin = 0; begin < n; begin += largest) {
    const auto count = static_cast<int>(std::min<int64_t>(largest, n - begin));
    const DeviceBatch batch =
        Load(pixels + begin * picture_bytes, labels + begin, count, /*planned=*/nullptr);
    const at::Tensor logits = step.Predict(batch);
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
}

ResumePoint TrainingSession::Impl::PointOf(int epoch, const EpochSoFar& so_far) const {
  return {.epoch = epoch,
          .global_step = steps.next_step(),
          .so_far = so_far,
          .at_random = StagesText(learner.at_random()),
          .notes = watch.ToMetadata()};
}

void TrainingSession::Impl::StartCheckpoint(const std::string& path, int epoch,
                                            const EpochSoFar& so_far,
                                            std::function<void()> written) {
  steps.Await();
  EndEvaluation();
  stall.NextCheckpoint();
  const StallClock::Scope scope(stall);
  writer.Await();
  const ResumePoint point = PointOf(epoch, so_far);
  writer.Start([path, point, its_options = options, state = learner.StateToRead(),
                done = std::move(written)](const std::function<void()>& data_read) {
    Translated("saving a checkpoint",
               [&] { WriteCheckpoint(path, its_options, state, point, data_read); });
    if (done) done();
  });
}

void TrainingSession::Impl::AwaitCheckpointData() {
  const StallClock::Scope scope(stall);
  writer.AwaitData();
}

void TrainingSession::Impl::ForgetSteps() {
  AwaitCheckpointData();
  EndEvaluation();
  steps.Forget();
  step.ForgetDivergence();
}

}  // namespace mead::train
