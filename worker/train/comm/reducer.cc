#include "worker/train/comm/reducer.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace mead::train {

Reducer::Reducer(const std::vector<at::Tensor>& parameters, int64_t bucket_bytes,
                 Communicator& communicator)
    : communicator_(communicator), parameters_(parameters), places_(parameters.size()) {
  std::vector<int64_t> sizes;
  for (const at::Tensor& parameter : parameters) sizes.push_back(parameter.numel());
  const int64_t elements = std::max<int64_t>(bucket_bytes / 4, 1);
  plan_ = PlanBuckets(sizes, std::max<int64_t>(elements / 8, 1), elements);
  for (size_t b = 0; b < plan_.size(); ++b) {
    const bool last = b + 1 == plan_.size();
    Live live;
    live.flat = communicator.AllocateBuffer(plan_[b].size + (last ? kFigures : 0), at::kFloat);
    for (size_t s = 0; s < plan_[b].slots.size(); ++s) {
      const BucketSlot& slot = plan_[b].slots[s];
      const at::Tensor& parameter = parameters[slot.parameter];
      live.views.push_back(
          live.flat.as_strided(parameter.sizes(), parameter.strides(), slot.offset));
      places_[slot.parameter] = {.bucket = b, .slot = s};
    }
    live_.push_back(std::move(live));
  }
  figures_ = live_.back().flat.narrow(0, plan_.back().size, kFigures);
  for (size_t i = 0; i < parameters.size(); ++i) {
    using torch::autograd::Variable;
    using List = std::vector<Variable>;
    // The accumulator lives only as long as somebody holds it.
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters[i]);
    const uintptr_t key =
        accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
            [this, i](const List& outputs, const List&) {
              OnGradient(i);
              return outputs;
            }));
    hooks_.push_back({std::move(accumulator), key});
  }
}

Reducer::~Reducer() {
  for (Hook& hook : hooks_) hook.accumulator->del_post_hook(hook.key);
}

void Reducer::Start(const at::Tensor& figures) {
  at::NoGradGuard no_grad;
  figures_.copy_(figures);
  for (size_t b = 0; b < live_.size(); ++b) live_[b].missing = plan_[b].slots.size();
  for (Place& place : places_) place.filled = false;
  next_to_launch_ = 0;
  failure_ = nullptr;
  started_ = true;
}

void Reducer::OnGradient(size_t parameter) {
  if (!started_ || failure_) return;
  // An exception must not cross autograd's thread: Finish() throws it.
  try {
    at::NoGradGuard no_grad;
    Place& place = places_[parameter];
    Live& bucket = live_[place.bucket];
    bucket.views[place.slot].copy_(parameters_[parameter].grad());
    place.filled = true;
    --bucket.missing;
    LaunchFullBuckets();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Reducer::LaunchFullBuckets() {
  // Strictly in order: collectives must match across ranks.
  while (next_to_launch_ < live_.size() && live_[next_to_launch_].missing == 0) {
    Live& bucket = live_[next_to_launch_++];
    bucket.pending = communicator_.AllReduceSum(bucket.flat);
  }
}

const at::Tensor& Reducer::Finish() {
  at::NoGradGuard no_grad;
  started_ = false;
  if (failure_) std::rethrow_exception(failure_);
  for (const Place& place : places_) {
    if (!place.filled) live_[place.bucket].views[place.slot].zero_();
  }
  for (Live& bucket : live_) bucket.missing = 0;
  LaunchFullBuckets();
  for (size_t b = 0; b < live_.size(); ++b) {
    live_[b].pending->Wait();
    live_[b].pending.reset();
    for (size_t s = 0; s < plan_[b].slots.size(); ++s) {
      parameters_[plan_[b].slots[s].parameter].mutable_grad() = live_[b].views[s];
    }
  }
  return figures_;
}

}  // namespace mead::train
