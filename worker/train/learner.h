// What learns, and what a checkpoint holds: the network, its optimizer and the average of its
// weights, if there is one.
//
// Thread: the train thread owns it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/model/resnet.h"
#include "worker/train/optim/ema.h"
#include "worker/train/optim/layer_groups.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/state/checkpoint.h"
#include "worker/train/tensors.h"

namespace mead::train {

class Learner {
 public:
  Learner(const TrainOptions& options, at::Device device);

  ResNet& model() { return model_; }
  const ResNet& model() const { return model_; }
  Optimizer& optimizer() { return optimizer_; }
  WeightAverage* average() { return average_.get(); }  // or null

  // The stages that no weights file held whole; none at first. No phase freezes them.
  StageSet at_random() const { return at_random_; }
  void set_at_random(StageSet stages) { at_random_ = stages; }
  // Of a weights file that has been copied in, with all that follows for frozen phases.
  void TakeWeights(const TrainOptions& options, WeightsReport& report);

  // The parameters that learn in a phase, by index in the model's order.
  std::vector<size_t> LearningIn(const Phase& phase) const;

  // What a weights file may hold.
  std::vector<NamedTensor> ModelTensors() const;
  TrainState State() const;
  // A state to be read while the next step computes: of the CPU's tensors those that move only
  // at its end, copies of the others. The caller has awaited the steps.
  TrainState StateToRead() const;

  // After the parameters have been written to: copies and average begin anew with them.
  void WeightsChanged();

  // The averaged weights take the weights' places, until UseWeights. Only where there is an
  // average; neither a step nor a checkpoint meanwhile.
  void UseAverage();
  void UseWeights();
  bool uses_average() const { return averaged_.has_value(); }

 private:
  std::vector<ParameterGroup> Groups(const TrainOptions& options) const;

  const at::Device device_;
  ResNet model_;
  Optimizer optimizer_;
  std::unique_ptr<WeightAverage> average_;  // or none
  StageSet at_random_;
  std::optional<WeightAverage::Scope> averaged_;
};

}  // namespace mead::train
