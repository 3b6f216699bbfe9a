// The inside of a training session: what one rank trains with, and in which order its parts
// are called. session.cc puts it on its stream and translates its errors.
//
// Thread: the train thread owns it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/train/device.h"
#include "worker/train/graph/step_graph.h"
#include "worker/train/input/input_stage.h"
#include "worker/train/learner.h"
#include "worker/train/objective_watch.h"
#include "worker/train/optim/schedule.h"
#include "worker/train/session.h"
#include "worker/train/stall_clock.h"
#include "worker/train/state/checkpoint_writer.h"
#include "worker/train/step.h"
#include "worker/train/steps_under_way.h"

namespace mead::train {

struct TrainingSession::Impl {
  // To be constructed on that stream: tensors and hooks belong to the one that was
  // current when they were made.
  Impl(const TrainOptions& valid, at::Device where, ComputeStream its_stream,
       std::shared_ptr<Communicator> gang);

  void StartEpoch(int epoch);
  // What learns in this phase of what the weights came with.
  void ChooseLearning();
  void TakePicturesOf(int size);

  int FitMemory();
  // A pass of each kind that the phases have: the largest pictures, or the most that learns.
  void TryPass(int64_t pictures);
  std::shared_ptr<PictureStore> KeepPictures();
  uint64_t ResidentBytes() const;

  void StartStep(const uint8_t* pixels, const int32_t* labels, int n, int64_t global_n,
                 const PlannedPicture* planned, const BatchMix* mix);
  DeviceBatch Load(const uint8_t* pixels, const int32_t* labels, int n,
                   const PlannedPicture* planned, const BatchMix* mix = nullptr);
  double PeakShare() const;
  double HeadRate(double peak_share) const;
  std::vector<double> Rates(double peak_share) const;

  void StartEvaluation();
  void EndEvaluation();
  EvalResult Evaluate(const uint8_t* pixels, const int32_t* labels, int n);

  // Where a checkpoint of now is saved.
  ResumePoint PointOf(int epoch, const EpochSoFar& so_far) const;
  void StartCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far,
                       std::function<void()> written);
  // What the writer was given to read may move after this.
  void AwaitCheckpointData();
  // Before weights come from a file: what the steps so far were is of no more
  // interest, a divergence included.
  void ForgetSteps();

  const TrainOptions options;
  const at::Device device;
  const ComputeStream stream;
  const std::shared_ptr<Communicator> communicator;
  int micro_batch;  // pictures per piece; 0: whole batches
  int side = 0;     // of the pictures of this epoch
  std::unique_ptr<InputStage> input;
  Learner learner;
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

}  // namespace mead::train
