#include "worker/train/input/render_jobs.h"

#include <ATen/Parallel.h>

#include "common/augment/render.h"

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {

void RenderOnCpu(const RenderJob* jobs, int64_t count, int64_t side, uint8_t* out) {
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      RenderAugmented(jobs[i].source, jobs[i].size, jobs[i].plan, static_cast<int>(side),
                      out + jobs[i].place * side * side * 3);
    }
  });
}

}  // namespace mead::train
