// How large a trial's pictures are: phases may differ in it.
//
// Units:  side of the square input, pixels.
// Thread: pure functions.
#pragma once

#include "worker/train/config.h"

namespace mead::train {

int ImageSizeOf(const TrainOptions& options, const Phase& phase);
// epoch: from 1; epochs beyond the last phase belong to it.
int ImageSizeOfEpoch(const TrainOptions& options, int epoch);
// Of all phases.
int LargestImageSize(const TrainOptions& options);

}  // namespace mead::train
