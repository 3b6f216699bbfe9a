// What one rank gets of a global batch, and whether what came is that: pure.
//
// Units:  pictures.
// Errors: kInternal from every check, naming what was expected and what came: a batch that is
//   not the plan's is a bug of whoever loaded it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/augment/mix.h"
#include "worker/train/config.h"
#include "worker/train/pieces.h"

namespace mead::train {

// The most that one rank gets of a batch.
int64_t LargestShare(const TrainOptions& options, int world_size);

// A share of n pictures of a batch of global_n; largest: that the input stage takes.
void CheckShare(const TrainOptions& options, int n, int64_t global_n, int64_t largest);

// labels: [n], each in [0, num_classes).
void CheckLabels(const TrainOptions& options, std::span<const int32_t> labels);

// mix: there exactly where the options mix, with a partner for each of n pictures.
void CheckMix(const TrainOptions& options, int n, const BatchMix* mix);

// The runs of a share that go through the network one after the other. micro_batch: of the
// largest, or 0 for the whole; virtual ranks have pieces of their own.
std::vector<Piece> PiecesOfShare(const TrainOptions& options, int micro_batch, int rank,
                                 int world_size, int n, int64_t global_n);

}  // namespace mead::train
