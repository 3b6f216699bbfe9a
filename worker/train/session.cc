#include "worker/train/session.h"

#include <ATen/Parallel.h>

#include <utility>

#include "worker/train/comm/broadcast.h"
#include "worker/train/memory/cpu_pool.h"
#include "worker/train/session_impl.h"
#include "worker/train/state/weights.h"

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

}  // namespace

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
    BroadcastTensors(*impl_->communicator, impl_->learner.model().parameters());
    impl_->learner.WeightsChanged();
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
    WeightsReport report = CopyFromWeights(path, impl_->learner.ModelTensors(), {kOptimizerPrefix});
    if (report.loaded.empty()) {
      throw TrainError(ErrorKind::kUserError,
                       path + ": no tensor fits " + impl_->options.model + ": " + report.Summary());
    }
    impl_->learner.TakeWeights(impl_->options, report);
    impl_->ChooseLearning();
    return report;
  });
}

std::vector<std::string> TrainingSession::StayAtRandom() {
  return OnStream("starting at random", [&] {
    WeightsReport nothing;
    impl_->learner.TakeWeights(impl_->options, nothing);
    impl_->ChooseLearning();
    return nothing.learning;
  });
}

ResumePoint TrainingSession::Resume(const std::string& path) {
  return OnStream("resuming", [&] {
    impl_->ForgetSteps();
    const ResumePoint point = ReadCheckpoint(path, impl_->options, impl_->learner.State());
    impl_->learner.model().RefreshWorking();
    impl_->steps.GoOnWith(point.global_step);
    impl_->watch.FromMetadata(point.notes);
    impl_->learner.set_at_random(StagesIn(point.at_random));
    impl_->StartEpoch(point.epoch + 1);
    impl_->ChooseLearning();
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
  return OnStream("in evaluation", [&] { return impl_->Evaluate(pixels, labels, n); });
}

void TrainingSession::EndEpoch(double objective) { impl_->watch.Add(objective); }

bool TrainingSession::stops_early() const { return impl_->watch.stops(); }

void TrainingSession::SaveCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far) {
  OnStream("saving a checkpoint", [&] {
    impl_->steps.Await();
    impl_->EndEvaluation();
    WriteCheckpoint(path, impl_->options, impl_->learner.State(), impl_->PointOf(epoch, so_far));
  });
}

void TrainingSession::StartCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far,
                                      std::function<void()> written) {
  OnStream("saving a checkpoint",
           [&] { impl_->StartCheckpoint(path, epoch, so_far, std::move(written)); });
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

int64_t TrainingSession::parameter_count() const {
  return impl_->learner.model().parameter_count();
}

Communicator& TrainingSession::communicator() { return *impl_->communicator; }

}  // namespace mead::train
