#include "worker/trainer/progress_reporter.h"

#include <algorithm>
#include <utility>

#include "common/clock.h"

namespace mead::trainer {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(500);

}  // namespace

void ProgressReporter::Start() {
  window_start_ = RealClock().Now();
  window_samples_ = 0;
}

void ProgressReporter::Add(const char* phase, int epoch, uint64_t step, uint64_t steps,
                           int64_t samples, const train::EpochSoFar& so_far) {
  window_samples_ += samples;
  const absl::Time now = RealClock().Now();
  const absl::Duration window = now - window_start_;
  if (!speaks_ || window < kInterval) return;
  v1::Progress progress;
  progress.set_phase(phase);
  progress.set_epoch(epoch);
  progress.set_step(static_cast<int64_t>(step));
  progress.set_steps_per_epoch(static_cast<int64_t>(steps));
  const auto seen = static_cast<double>(std::max<int64_t>(1, so_far.samples));
  progress.set_train_loss(so_far.loss_sum / seen);
  progress.set_train_accuracy(static_cast<double>(so_far.correct) / seen);
  progress.set_learning_rate(so_far.learning_rate);
  progress.set_images_per_second(static_cast<double>(window_samples_) /
                                 absl::ToDoubleSeconds(window));
  link_.SendProgress(std::move(progress));
  window_start_ = now;
  window_samples_ = 0;
}

}  // namespace mead::trainer
