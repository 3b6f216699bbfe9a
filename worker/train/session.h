// The training step of one rank: a ResNet, its optimizer and schedule, and the
// gang's collectives, behind an interface without LibTorch.
//
// A trainer does: construct, LoadWeights, StayAtRandom or Resume, FitMemory, KeepPictures,
// then per epoch StartEpoch, StartStep for each step of the plan with FinishedSteps now and
// then, StartEvaluation, EvalStep, EndEpoch, SaveCheckpoint on rank 0. All ranks make the
// same calls; an empty slice is a call with n = 0.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/augment/mix.h"
#include "common/augment/picture_store.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/config.h"
#include "worker/train/errors.h"
#include "worker/train/state/reports.h"
#include "worker/train/step_result.h"

namespace mead::train {

// Of this rank's pictures only; sum over ranks with SumOverRanks.
struct EvalResult {
  std::vector<int32_t> predicted;  // [n], class ids
  std::vector<float> log_probabilities;  // [n, K]
  double loss_sum = 0;
};

// Thread: one thread owns it.
// Errors: TrainError from every method. kDiverged leaves every rank at the same
//   step with the weights before it (batch-norm's running statistics have seen it),
//   and every further step ends so until LoadWeights or Resume; after kPeerLost and
//   kOutOfMemory the session is of no more use.
class TrainingSession {
 public:
  // Builds the same initial model on every rank (rank 0's is broadcast).
  TrainingSession(const TrainOptions& options, std::shared_ptr<Communicator> communicator);
  ~TrainingSession();

  // Takes what fits from a file of safetensors or torch.save; every rank reads the same file.
  // Errors: kUserError (no such file, damaged, or nothing in it fits).
  WeightsReport LoadWeights(const std::string& path);

  // Says that no weights come: every stage is at random, so no phase freezes any. Returns the
  // stages that a phase would have frozen; in place of LoadWeights.
  std::vector<std::string> StayAtRandom();

  // Goes on exactly where a checkpoint was saved.
  // Errors: kUserError (damaged, or of another model, optimizer or seed).
  ResumePoint Resume(const std::string& path);

  // epoch: from 1. Takes up the phase that the epoch belongs to.
  void StartEpoch(int epoch);

  // Makes sure that a step fits into memory, by trying: where it does not, batches
  // are computed in pieces and their gradients added up. Batch-norm then normalises
  // over a piece. Returns the largest piece, or 0 if whole batches fit.
  // Errors: kOutOfMemory (not even one picture fits).
  int FitMemory();

  // Side of the epoch's pictures, pixels.
  int image_size() const;

  // A store for decoded pictures in the device's memory, as large as `resident_bytes` says;
  // null where that is nothing. After FitMemory, and again where an epoch has another
  // image_size, once the old one is gone: then its pictures are decoded at another scale.
  std::shared_ptr<PictureStore> KeepPictures();

  // Begins one optimizer step; on a GPU it returns before that has run, at most two
  // steps ahead. pixels: [n, H, W, 3], uint8, RGB, H = W = image_size(); labels: [n];
  // both are free again on return. n may be 0 (then both may be null). global_n: of
  // all ranks, > 0. With virtual ranks n is the sum of this rank's (see pieces.h). On a
  // GPU, n must be the same for all whole batches: a recorded step holds it.
  // planned: [n] or null; the places with a picture are rendered from the store of
  // KeepPictures, and their pixels are not looked at. mix: where the session mixes, and only
  // there; pixels, labels and planned are then [mix->pictures].
  void StartStep(const uint8_t* pixels, const int32_t* labels, int n, int64_t global_n,
                 const PlannedPicture* planned = nullptr, const BatchMix* mix = nullptr);

  // The steps that have ended since the last call, in order. wait: all that have begun.
  // Errors: kDiverged, naming the ranks whose loss or gradient it was. No weight has moved since
  //   the step before, on any rank.
  std::vector<StepResult> FinishedSteps(bool wait);

  // A step from its beginning to its end.
  StepResult TrainStep(const uint8_t* pixels, const int32_t* labels, int n, int64_t global_n);

  // Gives every rank rank 0's batch-norm statistics, so that evaluation does not
  // depend on which rank sees a picture. With an average of the weights, evaluation
  // is of that, until EndEvaluation, a step or a checkpoint.
  void StartEvaluation();
  void EndEvaluation();

  // Shapes as TrainStep; label smoothing does not apply. No collective inside.
  EvalResult EvalStep(const uint8_t* pixels, const int32_t* labels, int n);

  // The epoch's objective, the same on every rank, for what follows it: before the checkpoint.
  void EndEpoch(double objective);
  // Whether early stopping says that no further epoch is to be trained; after a Resume, too.
  bool stops_early() const;

  // Writes model, optimizer, average, epoch, step and seed to one file: aside, synced,
  // renamed. epoch: the last finished one; so_far: of the one under way, if any. Any rank
  // may; rank 0's batch-norm counts.
  // Errors: kInternal (disk), naming the path.
  void SaveCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far = {});

  // The same while training goes on; waits for the one before. written: called when the file
  // is there, from another thread; not if it could not be written: that comes out of the
  // next step, checkpoint or AwaitCheckpoint.
  void StartCheckpoint(const std::string& path, int epoch, const EpochSoFar& so_far,
                       std::function<void()> written);
  bool checkpoint_under_way() const;
  void AwaitCheckpoint();
  // The longest that one checkpoint has held up training since the last call, in seconds.
  double TakeCheckpointStall();

  int64_t global_step() const;
  // The steps so far that were repetitions of a recorded one.
  int64_t replayed_steps() const;
  double learning_rate() const;  // of the next step, the head's
  int64_t parameter_count() const;
  Communicator& communicator();

 private:
  struct Impl;
  template <typename F>
  auto OnStream(const char* doing, F&& f);

  std::unique_ptr<Impl> impl_;
};

}  // namespace mead::train
