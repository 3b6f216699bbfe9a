#include "worker/train/comm/reducer.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <utility>

#include "worker/train/comm/gradient.h"

namespace mead::train {
namespace {

Reducer::Options WithUsedWire(Reducer::Options options, const Communicator& communicator) {
  if (communicator.world_size() == 1) options.wire = at::kFloat;
  if (options.wire != at::kFloat && (options.wire != at::kBFloat16 || options.fixed_order)) {
    throw TrainError(ErrorKind::kInternal,
                     std::string("gradients cannot travel as ") + at::toString(options.wire) +
                         (options.fixed_order ? " and be summed in a fixed order" : ""));
  }
  return options;
}

}  // namespace

Reducer::Reducer(std::vector<Parameter> parameters, const Options& options,
                 Communicator& communicator)
    : communicator_(communicator),
      options_(WithUsedWire(options, communicator)),
      parameters_(std::move(parameters)),
      places_(parameters_.size()) {
  std::vector<int64_t> sizes;
  for (const Parameter& parameter : parameters_) sizes.push_back(parameter.leaf.numel());
  const int64_t elements = std::max<int64_t>(options.bucket_bytes / 4, 1);
  plan_ = PlanBuckets(sizes, std::max<int64_t>(elements / 8, 1), elements);
  for (size_t b = 0; b < plan_.size(); ++b) {
    const int64_t size = plan_[b].size;
    const bool last = b + 1 == plan_.size();
    Live live;
    if (rounds()) {
      live.flat =
          at::zeros({size}, at::dtype(at::kFloat).device(at::Device(communicator.device())));
      live.wire = communicator.AllocateBuffer(size, options_.wire);
    } else {
      live.flat = communicator.AllocateBuffer(size + (last ? options_.figures : 0), at::kFloat);
      live.wire = live.flat;
    }
    for (size_t s = 0; s < plan_[b].slots.size(); ++s) {
      const BucketSlot& slot = plan_[b].slots[s];
      const at::Tensor& leaf = parameters_[slot.parameter].leaf;
      live.views.push_back(live.flat.as_strided(leaf.sizes(), leaf.strides(), slot.offset));
      places_[slot.parameter].bucket = b;
      places_[slot.parameter].slot = s;
    }
    gradients_.push_back(live.flat.narrow(0, 0, size));
    live_.push_back(std::move(live));
  }
  figures_ = rounds() ? communicator.AllocateBuffer(options_.figures, at::kFloat)
                      : live_.back().flat.narrow(0, plan_.back().size, options_.figures);
  not_finite_ = figures_.select(0, options_.not_finite_figure);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    using torch::autograd::Variable;
    using List = std::vector<Variable>;
    // The accumulator lives only as long as somebody holds it.
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters_[i].leaf);
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

void Reducer::Start(int passes) {
  passes_ = passes;
  pass_ = 0;
  next_to_launch_ = 0;
  tree_.clear();
  figures_pending_.reset();
  for (Live& bucket : live_) bucket.pending.reset();
  for (Place& place : places_) place.filled = false;
  // A gradient that is there would be added to, in the bucket.
  for (Parameter& parameter : parameters_) {
    parameter.leaf.mutable_grad().reset();
    parameter.owner.mutable_grad().reset();
  }
}

void Reducer::StartPass(const at::Tensor& figures) {
  at::NoGradGuard no_grad;
  if (pass_ == 0 || options_.fixed_order) {
    figures_.copy_(figures);
  } else {
    figures_.add_(figures);
  }
  for (size_t b = 0; b < live_.size(); ++b) live_[b].missing = plan_[b].slots.size();
  failure_ = nullptr;
  in_pass_ = true;
}

void Reducer::OnGradient(size_t parameter) {
  if (!in_pass_ || failure_) return;
  // An exception must not cross autograd's thread: EndPass() throws it.
  try {
    at::NoGradGuard no_grad;
    Place& place = places_[parameter];
    Live& bucket = live_[place.bucket];
    at::Tensor& gradient = parameters_[parameter].leaf.mutable_grad();
    // The last bucket, with the figures, leaves once all gradients have been looked at.
    TakeGradient(gradient, /*add=*/place.filled, bucket.views[place.slot], not_finite_);
    gradient.reset();
    place.filled = true;
    --bucket.missing;
    if (!options_.fixed_order && pass_ + 1 == passes_) LaunchFullBuckets();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Reducer::EndPass() {
  in_pass_ = false;
  if (failure_) std::rethrow_exception(failure_);
  ++pass_;
  if (options_.fixed_order) {
    FillMissing();
    PushOntoTree();
    for (Place& place : places_) place.filled = false;
  }
}

// Parameters that no gradient has reached have a gradient of zero.
void Reducer::FillMissing() {
  at::NoGradGuard no_grad;
  for (Place& place : places_) {
    if (!std::exchange(place.filled, true)) live_[place.bucket].views[place.slot].zero_();
  }
}

void Reducer::LaunchFullBuckets() {
  // Strictly in order: collectives must match across ranks.
  while (next_to_launch_ < live_.size() && live_[next_to_launch_].missing == 0) {
    Live& bucket = live_[next_to_launch_++];
    if (rounds()) bucket.wire.copy_(bucket.flat);
    bucket.pending = communicator_.AllReduceSum(bucket.wire);
  }
  if (rounds() && next_to_launch_ == live_.size() && figures_pending_ == nullptr) {
    figures_pending_ = communicator_.AllReduceSum(figures_);
  }
}

// As a binary counter adds one: equal powers meet, the earlier passes on the left.
void Reducer::PushOntoTree() {
  at::NoGradGuard no_grad;
  Flats carry;
  for (const Live& bucket : live_) carry.push_back(bucket.flat.clone());
  for (size_t power = 0;; ++power) {
    if (power == tree_.size()) tree_.emplace_back();
    Flats& held = tree_[power];
    if (held.empty()) {
      held = std::move(carry);
      return;
    }
    at::_foreach_add_(held, carry);
    carry = std::exchange(held, {});
  }
}

// Goes on as PushOntoTree did within the rank, with whole ranks as leaves.
void Reducer::SumTreeOverRanks() {
  const Flats& mine = tree_.back();
  for (size_t b = 0; b < live_.size(); ++b) {
    at::Tensor sums = communicator_.AllGather(mine[b]);  // [ranks, size]
    while (sums.size(0) > 1) {
      const int64_t pairs = sums.size(0) / 2;
      const at::Tensor both = sums.view({pairs, 2, sums.size(1)});
      sums = both.select(1, 0) + both.select(1, 1);
    }
    live_[b].flat.copy_(sums[0]);
  }
}

const at::Tensor& Reducer::Finish() {
  at::NoGradGuard no_grad;
  if (options_.fixed_order) {
    SumTreeOverRanks();
  } else {
    FillMissing();
    for (Live& bucket : live_) bucket.missing = 0;
    LaunchFullBuckets();
    for (Live& bucket : live_) {
      std::exchange(bucket.pending, nullptr)->Wait();
      if (rounds()) bucket.flat.copy_(bucket.wire);
    }
    if (rounds()) std::exchange(figures_pending_, nullptr)->Wait();
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].owner.mutable_grad() = live_[places_[i].bucket].views[places_[i].slot];
  }
  return figures_;
}

}  // namespace mead::train
