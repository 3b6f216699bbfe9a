#include "worker/train/step.h"

#include <torch/csrc/autograd/autograd.h>

#include "worker/train/optim/clip.h"

namespace mead::train {

TrainingStep::TrainingStep(const TrainOptions& options, ResNet& model, Optimizer& optimizer,
                           WeightAverage* average, Communicator& communicator)
    : options_(options),
      model_(model),
      optimizer_(optimizer),
      average_(average),
      communicator_(communicator),
      diverged_(
          at::zeros({}, model.working().front().options().dtype(at::kFloat).requires_grad(false))) {
  if (options.class_weights.empty()) return;
  class_weights_ = at::tensor(options.class_weights, at::kDouble).to(diverged_.options());
}

at::Tensor TrainingStep::Run(const DeviceBatch& batch, const std::vector<Piece>& pieces,
                             int64_t global_n) {
  // Gradients of this rank's pictures; buckets are summed as they fill.
  reducer_->Start(static_cast<int>(pieces.size()));
  for (size_t i = 0; i < pieces.size(); ++i) {
    RunPiece(batch.Part(pieces[i].begin, pieces[i].count), StatisticsOf(i), global_n);
  }
  const at::Tensor figures = reducer_->Finish();

  // The gang's gradient moves every rank's weights alike, unless it is of no use.
  at::NoGradGuard no_grad;
  const at::Tensor found_inf = CheckFinite(figures);
  if (before_move_) before_move_();
  optimizer_.Step(found_inf);
  if (average_ != nullptr) average_->Update(found_inf);
  return at::cat({figures, found_inf.view({1})});
}

void TrainingStep::RunPiece(const DeviceBatch& batch, NormStatistics statistics, int64_t global_n) {
  at::Tensor figures =
      at::zeros({StepFigures::Count(communicator_.world_size())}, diverged_.options());
  if (batch.size() > 0) {
    const at::Tensor logits =
        model_.Forward(batch.Normalised(), statistics).to(at::kFloat);  // [n, classes]
    const at::Tensor loss = LossSum(logits, batch, options_.label_smoothing, class_weights_);
    {
      at::NoGradGuard no_grad;
      figures[StepFigures::kLoss].copy_(loss);
      figures[StepFigures::kCorrect].copy_(logits.argmax(1).eq(batch.labels).sum());
      figures[StepFigures::kBadRanks + communicator_.rank()].copy_(
          at::isfinite(loss).logical_not());
    }
    reducer_->StartPass(figures);
    torch::autograd::backward({loss / static_cast<double>(global_n)}, {});
  } else {
    reducer_->StartPass(figures);
  }
  reducer_->EndPass();
}

// Running statistics that depended on the number of ranks would break what virtual
// ranks are for: those of the first are everybody's.
NormStatistics TrainingStep::StatisticsOf(size_t piece) const {
  if (options_.freeze_batch_norm) return NormStatistics::kRunning;
  const bool first = communicator_.rank() == 0 && piece == 0;
  return options_.virtual_ranks == 0 || first ? NormStatistics::kBatch
                                              : NormStatistics::kBatchUntracked;
}

// [], float32: 1 if this step's loss or gradient, or an earlier step's, is not finite.
at::Tensor TrainingStep::CheckFinite(const at::Tensor& figures) {
  const at::Tensor norm = options_.clip_grad_norm > 0
                              ? ClipGradNorm(reducer_->gradients(), options_.clip_grad_norm)
                              : GradNorm(reducer_->gradients());
  const at::Tensor good = at::isfinite(figures[StepFigures::kLoss]).logical_and(at::isfinite(norm));
  diverged_.copy_(diverged_.logical_or(good.logical_not()));
  return diverged_;
}

void TrainingStep::ForgetDivergence() { diverged_.zero_(); }

void TrainingStep::WantGradients(const std::vector<size_t>& learning) {
  for (const at::Tensor& working : model_.working()) {
    at::Tensor(working).set_requires_grad(false);
  }
  for (const size_t index : learning) at::Tensor(model_.working()[index]).set_requires_grad(true);
}

void TrainingStep::SetLearning(const std::vector<size_t>& learning) {
  std::vector<Reducer::Parameter> parameters;
  learning_ = learning;
  WantGradients(learning);
  for (const size_t index : learning) {
    const at::Tensor& leaf = model_.working()[index];
    parameters.push_back({.leaf = leaf, .owner = model_.parameters()[index].tensor});
  }
  optimizer_.ClearGradients();
  // Frozen layers have no hooks, so the buckets depend on what learns.
  reducer_.reset();
  reducer_ = std::make_unique<Reducer>(
      std::move(parameters),
      Reducer::Options{.bucket_bytes = options_.bucket_bytes,
                       .figures = StepFigures::Count(communicator_.world_size()),
                       .not_finite_figure = StepFigures::kBadRanks + communicator_.rank(),
                       .fixed_order = options_.virtual_ranks > 0,
                       .wire = TypeOf(options_.gradients_on_wire)},
      communicator_);
}

void TrainingStep::TryPass(int64_t n, int64_t side, const std::vector<size_t>& learning) {
  const at::Device device = diverged_.device();
  const DeviceBatch batch{
      .pixels = at::zeros({n, side, side, 3}, at::device(device).dtype(at::kByte)),
      .labels = at::zeros({n}, at::device(device).dtype(at::kLong)),
      .compute = TypeOf(options_.precision)};
  const auto statistics =
      options_.freeze_batch_norm ? NormStatistics::kRunning : NormStatistics::kBatchUntracked;
  // However it ends: as it was, without gradients.
  struct Restore {
    TrainingStep& step;
    ~Restore() {
      for (at::Tensor leaf : step.model_.working()) leaf.mutable_grad().reset();
      step.WantGradients(step.learning_);
    }
  } const restore{*this};
  WantGradients(learning);
  // No pass is open, so the reducer takes nothing and the gradients stay at the leaves.
  const at::Tensor logits = model_.Forward(batch.Normalised(), statistics).to(at::kFloat);
  torch::autograd::backward(
      {LossSum(logits, batch.labels, options_.label_smoothing, class_weights_)}, {});
}

at::Tensor TrainingStep::Predict(const DeviceBatch& batch) {
  at::NoGradGuard no_grad;
  const at::Tensor images = batch.Normalised();
  const auto logits = [&](const at::Tensor& view) {
    return model_.Forward(view, NormStatistics::kRunning).to(at::kFloat);
  };
  if (options_.evaluation_views == Views::kOne) return logits(images);
  std::vector<at::Tensor> views = {at::log_softmax(logits(images), 1)};
  const auto add = [&](at::IntArrayRef axes) {
    const at::Tensor flipped = images.flip(axes).contiguous(at::MemoryFormat::ChannelsLast);
    views.push_back(at::log_softmax(logits(flipped), 1));
  };
  add({3});
  if (options_.evaluation_views == Views::kFlips) {
    add({2});
    add({2, 3});
  }
  // Their probabilities' sum, as logits; the mean's differ by a constant.
  return at::logsumexp(at::stack(views), 0);
}

at::Tensor TrainingStep::LossSum(const at::Tensor& logits, const at::Tensor& labels,
                                 double smoothing, const at::Tensor& weights) {
  const auto weight = weights.defined() ? std::optional(weights) : std::nullopt;
  return at::cross_entropy_loss(logits, labels, weight, at::Reduction::Sum,
                                /*ignore_index=*/-100, smoothing);
}

at::Tensor TrainingStep::LossSum(const at::Tensor& logits, const DeviceBatch& batch,
                                 double smoothing, const at::Tensor& weights) {
  if (!batch.mixed()) return LossSum(logits, batch.labels, smoothing, weights);
  const auto weight = weights.defined() ? std::optional(weights) : std::nullopt;
  const auto losses = [&](const at::Tensor& labels) {  // [n]
    return at::cross_entropy_loss(logits, labels, weight, at::Reduction::None,
                                  /*ignore_index=*/-100, smoothing);
  };
  const at::Tensor& shares = batch.partner_shares;
  return (losses(batch.labels) * (1 - shares) + losses(batch.partner_labels) * shares).sum();
}

}  // namespace mead::train
