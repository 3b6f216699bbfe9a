#include "worker/train/image_size.h"

#include <algorithm>

#include "worker/train/optim/schedule.h"

namespace mead::train {

int ImageSizeOf(const TrainOptions& options, const Phase& phase) {
  return phase.image_size > 0 ? phase.image_size : options.image_size;
}

int ImageSizeOfEpoch(const TrainOptions& options, int epoch) {
  return ImageSizeOf(options, PhaseOfEpoch(options, epoch).phase);
}

int LargestImageSize(const TrainOptions& options) {
  if (options.phases.empty()) return options.image_size;
  int largest = 0;
  for (const Phase& phase : options.phases) {
    largest = std::max(largest, ImageSizeOf(options, phase));
  }
  return largest;
}

}  // namespace mead::train
