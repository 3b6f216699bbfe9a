// One optimizer step of one rank, from pixels to moved weights.
//
// step.cc reads top to bottom in the order in which things happen. Everything
// runs on the device and nothing is read back, so a CUDA graph can hold a step.
// Thread: the train thread owns it.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/reducer.h"
#include "worker/train/config.h"
#include "worker/train/input/input_stage.h"
#include "worker/train/model/resnet.h"
#include "worker/train/optim/ema.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/pieces.h"

namespace mead::train {

// What a step tells of itself, as places in one float32 tensor of sums.
struct StepFigures {
  static constexpr int64_t kLoss = 0;  // summed over the global batch
  static constexpr int64_t kCorrect =
      1;  // of the global batch, top-1; of mixed pictures the own label
  // From here one place per rank: above 0 if its loss or its gradient is not finite.
  static constexpr int64_t kBadRanks = 2;
  static int64_t Count(int world_size) { return kBadRanks + world_size; }
};

class TrainingStep {
 public:
  // All are borrowed; average may be null.
  TrainingStep(const TrainOptions& options, ResNet& model, Optimizer& optimizer,
               WeightAverage* average, Communicator& communicator);

  // The parameters that learn from here on, by index in the model's order.
  void SetLearning(const std::vector<size_t>& learning);

  // Called in each step before the first of the state moves: the weights, what the optimizer
  // keeps, their average. Batch-norm's running statistics move before.
  void SetBeforeMove(std::function<void()> before_move) { before_move_ = std::move(before_move); }

  // One step. pieces: of this rank's batch; their counts add up to its size.
  // Returns the gang's figures, then 1 or 0 for whether this or an earlier step
  // diverged: [StepFigures::Count + 1], float32, on the device, valid until the next
  // step. A step that diverged, and all after it, change nothing but batch-norm's
  // running statistics, which forward writes.
  at::Tensor Run(const DeviceBatch& batch, const std::vector<Piece>& pieces, int64_t global_n);

  // The next step is again one like any other: after the weights were replaced.
  void ForgetDivergence();

  // Forward and backward of `n` made-up pictures of side * side pixels where these parameters
  // learn, by index, leaving no trace: whether they fit.
  // Errors: kOutOfMemory.
  void TryPass(int64_t n, int64_t side, const std::vector<size_t>& learning);

  // Logits, [n, classes], float32; of the views' mean probabilities where there are several.
  at::Tensor Predict(const DeviceBatch& batch);

  // The sum of the batch's losses; labels: [n], int64; weights: [classes], float32, or undefined.
  static at::Tensor LossSum(const at::Tensor& logits, const at::Tensor& labels, double smoothing,
                            const at::Tensor& weights = {});
  // Likewise, with label smoothing as in training; a mixed picture's loss is that of both its
  // labels, by their shares.
  static at::Tensor LossSum(const at::Tensor& logits, const DeviceBatch& batch, double smoothing,
                            const at::Tensor& weights = {});

 private:
  NormStatistics StatisticsOf(size_t piece) const;
  // Which parameters are leaves that want a gradient.
  void WantGradients(const std::vector<size_t>& learning);
  void RunPiece(const DeviceBatch& batch, NormStatistics statistics, int64_t global_n);
  at::Tensor CheckFinite(const at::Tensor& figures);

  const TrainOptions& options_;
  ResNet& model_;
  Optimizer& optimizer_;
  WeightAverage* average_;
  Communicator& communicator_;
  std::vector<size_t> learning_;
  std::unique_ptr<Reducer> reducer_;
  std::function<void()> before_move_;
  at::Tensor diverged_;       // [], float32: 1 once a step was not finite
  at::Tensor class_weights_;  // [classes], float32, on the device; or undefined
};

}  // namespace mead::train
