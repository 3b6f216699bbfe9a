// A gradient on its way into its place in a bucket: cast to float32, added or stored,
// and looked at, all in one pass over memory.
//
// Whether all of it is finite has to be seen here, rank by rank: once ranks are added
// up, nobody can tell whose gradient it was.
// Thread: any; on a GPU it is queued on the current stream and waits for nothing.
#pragma once

#include "worker/train/comm/gradient_cpu_isa.h"
#include "worker/train/simd/isa.h"
#include "worker/train/tensors.h"

namespace mead::train {

inline constexpr PerIsa<GradientCpuTable> kGradientCpuTables = MEAD_TABLES(kGradientCpu);

// Writes `gradient` to `place`, or adds it. Where `place` then holds anything that is
// not finite, `not_finite` becomes 1; otherwise that stays as it is.
// gradient: float32 or bfloat16; place: float32, of the same shape, dense; not_finite:
// [], float32. All on one device.
// Errors: kInternal (another type).
void TakeGradient(const at::Tensor& gradient, bool add, const at::Tensor& place,
                  const at::Tensor& not_finite);

}  // namespace mead::train
