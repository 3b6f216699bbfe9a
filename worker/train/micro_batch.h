// How many pictures go through the network at once: what fits into memory, found by trying.
//
// Units:  pictures of one rank.
// Thread: pure but for what try_pass does.
#pragma once

#include <cstdint>
#include <functional>

#include "worker/train/config.h"

namespace mead::train {

// micro_batch: the largest piece, or 0 for a rank's whole share.
int64_t LargestPass(const TrainOptions& options, int micro_batch, int world_size);

// Halves the largest pass until try_pass (forward and backward of so many) goes. Returns the
// largest piece, or 0 if a whole share fits. Pieces of virtual ranks are given: they fit, or the
// trial cannot run here.
// Errors: kOutOfMemory, naming what was tried last and what the user can do; others of try_pass.
int FitMicroBatch(const TrainOptions& options, int micro_batch, int world_size,
                  const std::function<void(int64_t pictures)>& try_pass);

}  // namespace mead::train
