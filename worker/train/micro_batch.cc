#include "worker/train/micro_batch.h"

#include <algorithm>
#include <string>

#include "worker/train/batch_share.h"
#include "worker/train/errors.h"
#include "worker/train/image_size.h"

namespace mead::train {
namespace {

TrainError DoesNotFit(const TrainOptions& options, int64_t piece, const std::string& cause) {
  const std::string size = std::to_string(LargestImageSize(options));
  std::string what = "not even one picture goes";
  std::string remedy = "make image_size smaller or take a smaller model";
  if (piece > 1) {
    what = "the " + std::to_string(piece) + " pictures of a virtual rank do not go";
    remedy += ", or more virtual_ranks";
  }
  return {ErrorKind::kOutOfMemory, what + " into memory at " + size + " x " + size + " with " +
                                       options.model + "; " + remedy + " (" + cause + ")"};
}

}  // namespace

int64_t LargestPass(const TrainOptions& options, int micro_batch, int world_size) {
  if (options.virtual_ranks > 0) return LargestShare(options, options.virtual_ranks);
  const int64_t share = LargestShare(options, world_size);
  return micro_batch > 0 ? std::min<int64_t>(micro_batch, share) : share;
}

int FitMicroBatch(const TrainOptions& options, int micro_batch, int world_size,
                  const std::function<void(int64_t pictures)>& try_pass) {
  const bool given = options.virtual_ranks > 0;
  int64_t piece = LargestPass(options, micro_batch, world_size);
  for (;; piece = (piece + 1) / 2) {
    try {
      try_pass(piece);
      break;
    } catch (const TrainError& error) {
      if (error.kind() != ErrorKind::kOutOfMemory) throw;
      if (piece == 1 || given) throw DoesNotFit(options, piece, error.what());
    }
  }
  return piece < LargestShare(options, world_size) && !given ? static_cast<int>(piece) : 0;
}

}  // namespace mead::train
