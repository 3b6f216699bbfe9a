#include "worker/train/steps_under_way.h"

#include <cmath>
#include <string>
#include <utility>

#include "worker/train/step.h"

namespace mead::train {
namespace {

// values: a diverged step's figures.
std::string Divergence(const StepResult& result, int64_t step, const float* values,
                       int world_size) {
  std::string ranks;
  for (int rank = 0; rank < world_size; ++rank) {
    if (values[StepFigures::kBadRanks + rank] == 0) continue;
    ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
  }
  const std::string loss = "the loss is " + std::to_string(result.loss);
  std::string what = loss + " (rank " + ranks + ")";
  if (std::isfinite(result.loss)) {
    what = ranks.empty() ? "the norm of the summed gradients" : "the gradient of rank " + ranks;
    what += " is not finite (" + loss + ")";
  }
  return what + " at step " + std::to_string(step) + " with learning rate " +
         std::to_string(result.learning_rate) + "; a smaller learning rate may help";
}

}  // namespace

void StepsUnderWay::MakeRoom() {
  while (under_way_.size() >= kMost) TakeOldest();
}

std::vector<StepResult> StepsUnderWay::Finished(bool wait) {
  while (!under_way_.empty() && (wait || under_way_.front().figures.Ready())) TakeOldest();
  return std::exchange(finished_, {});
}

void StepsUnderWay::Add(HostCopy figures, std::unique_ptr<Pending> ended, int64_t samples,
                        double learning_rate) {
  under_way_.push_back({.figures = std::move(figures),
                        .ended = std::move(ended),
                        .step = next_step_,
                        .samples = samples,
                        .learning_rate = learning_rate});
  ++next_step_;
}

void StepsUnderWay::Await() {
  if (!under_way_.empty()) under_way_.back().ended->Wait();
}

void StepsUnderWay::Forget() {
  Await();
  under_way_.clear();
  finished_.clear();
}

void StepsUnderWay::GoOnWith(int64_t step) {
  Forget();
  next_step_ = step;
}

void StepsUnderWay::TakeOldest() {
  const UnderWay oldest = std::move(under_way_.front());
  under_way_.pop_front();
  oldest.ended->Wait();  // figures that came after an abort are none
  const at::Tensor& figures = oldest.figures.Wait();
  const auto* values = figures.const_data_ptr<float>();
  const StepResult result{.loss = values[StepFigures::kLoss] / static_cast<double>(oldest.samples),
                          .correct = std::llround(values[StepFigures::kCorrect]),
                          .samples = oldest.samples,
                          .learning_rate = oldest.learning_rate};
  if (values[figures.numel() - 1] != 0) {
    Await();
    under_way_.clear();
    next_step_ = oldest.step;
    throw TrainError(ErrorKind::kDiverged, Divergence(result, oldest.step, values, world_size_));
  }
  finished_.push_back(result);
}

}  // namespace mead::train
