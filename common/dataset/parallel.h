// Runs a numbered set of independent jobs on a few threads.
#pragma once

#include <cstdint>
#include <functional>

namespace mead::dataset {

// Calls make_job() once per thread, and the jobs so made with every index in [0, count), each once.
// report(done) runs now and then on the calling thread, and at the end; it may be empty.
// threads: 0 means one per core, at most 8.
void ParallelFor(uint64_t count, int threads,
                 const std::function<std::function<void(uint64_t)>()>& make_job,
                 const std::function<void(uint64_t)>& report);

}  // namespace mead::dataset
