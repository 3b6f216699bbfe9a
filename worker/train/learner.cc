#include "worker/train/learner.h"

#include <set>
#include <string>

namespace mead::train {

Learner::Learner(const TrainOptions& options, at::Device device)
    : device_(device),
      model_({.model = options.model,
              .num_classes = options.num_classes,
              .seed = options.seed,
              .device = device,
              .compute = TypeOf(options.precision),
              .stride_in_first = options.stride_in_first}),
      optimizer_(options.optimizer, Groups(options), model_.copies()),
      average_(options.ema_decay > 0
                   ? std::make_unique<WeightAverage>(model_.parameters(), options.ema_decay)
                   : nullptr) {}

std::vector<ParameterGroup> Learner::Groups(const TrainOptions& options) const {
  std::vector<ParameterGroup> groups;
  for (const std::string& name : GroupNames(options)) groups.push_back({.name = name});
  for (const NamedTensor& parameter : model_.parameters()) {
    groups[GroupOf(options, parameter.name)].parameters.push_back(parameter);
  }
  return groups;
}

void Learner::TakeWeights(const TrainOptions& options, WeightsReport& report) {
  std::vector<std::string> names;
  for (const NamedTensor& parameter : model_.parameters()) names.push_back(parameter.name);
  at_random_ = StagesLacking(names, report.loaded);
  report.learning = StageNames(at_random_ & StagesFrozen(options));
  WeightsChanged();
}

std::vector<size_t> Learner::LearningIn(const Phase& phase) const {
  std::vector<size_t> learning;
  for (size_t i = 0; i < model_.parameters().size(); ++i) {
    if (LearnsIn(phase, model_.parameters()[i].name, at_random_)) learning.push_back(i);
  }
  return learning;
}

std::vector<NamedTensor> Learner::ModelTensors() const {
  std::vector<NamedTensor> tensors = model_.parameters();
  tensors.insert(tensors.end(), model_.buffers().begin(), model_.buffers().end());
  return tensors;
}

TrainState Learner::State() const {
  TrainState state{.model = ModelTensors(), .optimizer = optimizer_.state()};
  if (average_) {
    state.optimizer.insert(state.optimizer.end(), average_->state().begin(),
                           average_->state().end());
  }
  return state;
}

TrainState Learner::StateToRead() const {
  at::NoGradGuard no_grad;
  TrainState state = State();
  std::set<std::string> moves_early;  // batch-norm's statistics
  for (const NamedTensor& buffer : model_.buffers()) moves_early.insert(buffer.name);
  const auto keep = [&](std::vector<NamedTensor>& tensors) {
    for (NamedTensor& named : tensors) {
      if (device_.is_cuda()) {
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

void Learner::WeightsChanged() {
  model_.RefreshWorking();
  if (average_) average_->Restart();
}

void Learner::UseAverage() {
  averaged_.emplace(*average_);
  model_.RefreshWorking();
}

void Learner::UseWeights() {
  if (!averaged_) return;
  averaged_.reset();
  model_.RefreshWorking();
}

}  // namespace mead::train
