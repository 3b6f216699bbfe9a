// How the threads share the rows of a convolution's matrix product.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ceil_div.h>

#include <algorithm>
#include <cstdint>

#include "worker/train/ops/conv_shape.h"

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {

// Does `body(first, last)` for all rows, up to `lot` at a time, on all threads. They get equal
// numbers of what a kernel multiplies at once, not of lots, of which there may be few.
template <typename Body>
void ForLots(int64_t rows, int64_t lot, const Body& body) {
  at::parallel_for(0, at::ceil_div(rows, kConvRowsAtOnce), 1, [&](int64_t begin, int64_t end) {
    const int64_t end_row = std::min(end * kConvRowsAtOnce, rows);
    for (int64_t first = begin * kConvRowsAtOnce; first < end_row; first += lot) {
      body(first, std::min(first + lot, end_row));
    }
  });
}

}  // namespace mead::train
