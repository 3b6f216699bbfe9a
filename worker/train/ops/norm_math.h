// The arithmetic of fused batch-norm + addition + ReLU, element by element: one text
// for CPU and GPU (see norm_kernels.h for the passes).
//
// Everything per channel is folded before the loop over rows, so that an element
// costs one multiply-add forward and two backward:
//
//   forward    z  = x * scale + shift [+ residual]       y = max(z, 0)
//   backward   dx = dz * scale + x * slope + offset      dz = dy where z passes, else 0
//
// Folding the mean into shift loses nothing: the mean is itself rounded to A, and
// that already moves z by as much as rounding mean * scale does.
#pragma once

#include "common/base/host_device.h"

namespace mead::train {

// a * b + c. On a GPU rounded once, always: forward and backward must find the
// same sign of z. On a CPU as the compiler's flags for that file say.
template <typename A>
MEAD_HOST_DEVICE inline A MultiplyAdd(A a, A b, A c) {
#if defined(__CUDA_ARCH__)
  return fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Of one channel.
template <typename A>
struct NormForward {
  A scale;
  A shift;

  MEAD_HOST_DEVICE NormForward() = default;
  MEAD_HOST_DEVICE NormForward(A mean, A inverse_deviation, A gamma, A beta)
      : scale(gamma * inverse_deviation), shift(MultiplyAdd(-mean, scale, beta)) {}

  // z, without the residual.
  MEAD_HOST_DEVICE A operator()(A x) const { return MultiplyAdd(x, scale, shift); }
};

// NaN stays NaN, so that a diverged step is seen.
template <typename A>
MEAD_HOST_DEVICE inline A NormRelu(A z) {
  return z < A{0} ? A{0} : z;
}

// Whether the gradient passes ReLU. NaN does, as in torch.
template <typename A>
MEAD_HOST_DEVICE inline bool NormPasses(A z) {
  return !(z <= A{0});
}

// Of one channel: dx from dz and x.
template <typename A>
struct NormBackward {
  A scale;
  A slope;
  A offset;

  MEAD_HOST_DEVICE NormBackward() = default;
  // dgamma, dbeta: of this batch; zeros where the statistics are frozen.
  MEAD_HOST_DEVICE NormBackward(A mean, A inverse_deviation, A gamma, A dgamma, A dbeta,
                                A inverse_rows)
      : scale(gamma * inverse_deviation),
        slope(-scale * inverse_deviation * dgamma * inverse_rows),
        offset(-scale * dbeta * inverse_rows - slope * mean) {}

  MEAD_HOST_DEVICE A operator()(A dz, A x) const {
    return MultiplyAdd(dz, scale, MultiplyAdd(x, slope, offset));
  }
};

}  // namespace mead::train
