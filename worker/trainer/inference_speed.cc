#include "worker/trainer/inference_speed.h"

#include <algorithm>

namespace mead::trainer {
namespace {

constexpr int kLeastBatches = 2;

struct Rate {
  double per_second = 0;
  int64_t images = 0;
};

Rate Measure(const InferenceSteps& steps, int batch, const std::function<void()>& do_batch) {
  do_batch();
  const double start = steps.now();
  double taken = 0;
  int batches = 0;
  while (batches < kLeastBatches || taken < steps.seconds) {
    do_batch();
    ++batches;
    taken = steps.now() - start;
  }
  const int64_t images = int64_t{batches} * batch;
  return {static_cast<double>(images) / std::max(taken, 1e-9), images};
}

}  // namespace

InferenceSpeed MeasureInference(const InferenceSteps& steps, int batch) {
  size_t next = 0;
  const Rate whole = Measure(steps, batch, [&] {
    for (int place = 0; place < batch; ++place) steps.load(next++ % steps.images, place);
    steps.answer(batch);
  });
  const Rate network = Measure(steps, batch, [&] { steps.answer(batch); });
  return {whole.per_second, network.per_second, whole.images};
}

}  // namespace mead::trainer
