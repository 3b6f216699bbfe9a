// Mixes a batch's pictures where they lie, each with its partner.
//
// Shape:  pictures is [places, side, side, 3], uint8, RGB; out is [n, side, side, 3], likewise,
//         and not in the same memory; partners is [n], places. n <= places.
// Source: common/augment/mix.h; CPU and GPU give the same bytes.
#pragma once

#include <cstdint>

#include "common/augment/mix.h"

namespace mead::train {

// The labels of the partners: out is [n]; labels is [mix.pictures].
void PartnerLabels(const int32_t* labels, const BatchMix& mix, int64_t* out);

// threads are LibTorch's.
void MixOnCpu(const uint8_t* pictures, const int32_t* partners, const MixPlan& plan, int64_t n,
              int64_t side, uint8_t* out);

#ifdef MEAD_HAVE_CUDA
// pictures, partners and out: on the current device; stream: a cudaStream_t. Does not wait.
// Errors: returns the cudaError_t of the launch (0: none).
int MixOnGpu(const uint8_t* pictures, const int32_t* partners, const MixPlan& plan, int64_t n,
             int64_t side, uint8_t* out, void* stream);
#endif

}  // namespace mead::train
