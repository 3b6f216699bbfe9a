#include "worker/train/batch_share.h"

#include <algorithm>
#include <string>

#include "worker/train/errors.h"

namespace mead::train {

int64_t LargestShare(const TrainOptions& options, int world_size) {
  if (options.virtual_ranks == 0) return (options.batch_size + world_size - 1) / world_size;
  const int64_t piece = (options.batch_size + options.virtual_ranks - 1) / options.virtual_ranks;
  return std::min(piece * (options.virtual_ranks / world_size), options.batch_size);
}

void CheckShare(const TrainOptions& options, int n, int64_t global_n, int64_t largest) {
  if (n < 0 || global_n < std::max(n, 1)) {
    throw TrainError(ErrorKind::kInternal, "a slice of " + std::to_string(n) +
                                               " pictures of a global batch of " +
                                               std::to_string(global_n));
  }
  if (n > largest) {
    throw TrainError(ErrorKind::kInternal, "a slice of " + std::to_string(n) +
                                               " pictures, where a batch of " +
                                               std::to_string(options.batch_size) + " gives " +
                                               std::to_string(largest) + " at most");
  }
}

void CheckLabels(const TrainOptions& options, std::span<const int32_t> labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= options.num_classes) {
      throw TrainError(ErrorKind::kInternal, "label " + std::to_string(labels[i]) + " at place " +
                                                 std::to_string(i) +
                                                 " of the batch is not in [0, " +
                                                 std::to_string(options.num_classes) + ")");
    }
  }
}

void CheckMix(const TrainOptions& options, int n, const BatchMix* mix) {
  if (options.mixes != (mix != nullptr)) {
    throw TrainError(ErrorKind::kInternal,
                     options.mixes ? "a batch came without what is mixed in it"
                                   : "a batch came to be mixed, which the options do not say");
  }
  if (mix == nullptr) return;
  const auto outside = [&](int32_t place) { return place < 0 || place >= mix->pictures; };
  if (std::ssize(mix->partners) != n || mix->pictures < n || mix->pictures > n + 1 ||
      std::any_of(mix->partners.begin(), mix->partners.end(), outside)) {
    throw TrainError(ErrorKind::kInternal, std::to_string(mix->partners.size()) + " partners of " +
                                               std::to_string(n) + " pictures, in a batch of " +
                                               std::to_string(mix->pictures));
  }
}

std::vector<Piece> PiecesOfShare(const TrainOptions& options, int micro_batch, int rank,
                                 int world_size, int n, int64_t global_n) {
  if (options.virtual_ranks == 0) return SplitEvenly(n, micro_batch);
  const std::vector<Piece> pieces =
      SplitVirtually(global_n, options.virtual_ranks, rank, world_size);
  const int64_t sum = pieces.back().begin + pieces.back().count;
  if (sum != n) {
    throw TrainError(ErrorKind::kInternal, "this rank's virtual ranks have " + std::to_string(sum) +
                                               " pictures of the batch, " + std::to_string(n) +
                                               " came");
  }
  return pieces;
}

}  // namespace mead::train
