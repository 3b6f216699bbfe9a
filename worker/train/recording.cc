#include "worker/train/recording.h"

namespace mead::train {

bool RecordsSteps(const TrainOptions& options, const RecordingSite& site) {
  return options.record_steps && site.gpu && site.capturable && options.virtual_ranks == 0;
}

bool RecordsStepOf(const TrainOptions& options, int64_t global_n) {
  return global_n == options.batch_size;
}

}  // namespace mead::train
