#include "worker/train/input/mix_batch.h"

#include <ATen/Parallel.h>

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {

void PartnerLabels(const int32_t* labels, const BatchMix& mix, int64_t* out) {
  for (size_t i = 0; i < mix.partners.size(); ++i) out[i] = labels[mix.partners[i]];
}

void MixOnCpu(const uint8_t* pictures, const int32_t* partners, const MixPlan& plan, int64_t n,
              int64_t side, uint8_t* out) {
  const int64_t picture_bytes = side * side * 3;
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      MixPictures(pictures + i * picture_bytes, pictures + partners[i] * picture_bytes, plan,
                  static_cast<int>(side), out + i * picture_bytes);
    }
  });
}

}  // namespace mead::train
