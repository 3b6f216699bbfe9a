// An exponential moving average of the weights: it evaluates better than the last
// weights, and swings less.
//
//   average += (1 - d) (weight - average),   d = min(decay, (1 + t) / (10 + t))
//
// where t = 0, 1, ... counts the updates: with little history the average forgets
// the first weights soon (at decay 0.999 the limit is reached after 9,000 steps).
// Batch-norm statistics are averages already and belong to the last weights and
// the averaged ones alike, as torch.optim.swa_utils.AveragedModel copies them.
//
// Source: Polyak and Juditsky 1992; tf.train.ExponentialMovingAverage with
//         num_updates for d.
// Thread: the train thread owns it.
#pragma once

#include <vector>

#include "worker/train/tensors.h"

namespace mead::train {

class WeightAverage {
 public:
  // The average begins as the weights are now. decay: in (0, 1).
  WeightAverage(const std::vector<NamedTensor>& parameters, double decay);

  // Begins again with the weights as they are now (after loading others).
  void Restart();

  // After an optimizer step. found_inf: as Optimizer::Step. A CUDA graph can hold it.
  void Update(const at::Tensor& found_inf = {});

  // Puts the averaged weights into the model while it lives, in the same memory,
  // for evaluation or for saving them; no step meanwhile.
  class Scope {
   public:
    explicit Scope(const WeightAverage& average);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const WeightAverage& average_;
    std::vector<at::Tensor> weights_;  // what the model had
  };

  // For checkpoints: "ema.<parameter>" and "steps.ema"; written through by a load.
  const std::vector<NamedTensor>& state() const { return state_; }

 private:
  double decay_;
  std::vector<NamedTensor> state_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> averages_;  // of the parameters' shapes and strides
  at::Tensor updates_;                // [], float32
};

}  // namespace mead::train
