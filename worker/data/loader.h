// Batches of pictures for one rank: shard -> decode -> (cache) -> augment -> bounded queue.
// With a store on the training device, pictures go there once, and then batches hold plans.
//
// Shape:  a batch is [n, size, size, 3] uint8 RGB (NHWC), with n labels.
// Thread: StartEpoch and Next belong to one consumer thread; `threads` workers decode. The
//         destructor may be called at any time, also with batches not taken.
// Queue:  at most queue_batches batches are in work or ready; workers wait when it is full.
// Order:  batches come in step order, and each is the same bit for bit for any number of threads
//         and ranks: randomness is keyed by (seed, epoch, sample, turn). Whether a picture comes as
//         pixels or as the plan for them depends on when it was stored, its pixels do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/augment/augment_plan.h"
#include "common/augment/picture_store.h"
#include "common/dataset/manifest.h"
#include "worker/data/decoded_store.h"

namespace mead::data {

struct LoaderOptions {
  const dataset::Manifest* manifest = nullptr;  // outlives the loader
  // One path per manifest shard; those without a picture of the split may be empty.
  std::vector<std::string> shard_paths;
  dataset::Split split = dataset::Split::kTrain;
  // kTrain augments by default, kVal does not; set to false to read the training split exactly.
  bool augment_train = true;
  int image_size = 224;
  AugmentOptions augment;  // its position_box holds for either split
  uint64_t seed = 1;
  int threads = 1;
  size_t queue_batches = 4;
  // Decoded pictures are kept here, for later epochs and for all trainers of the node.
  DecodedCacheOptions shared_cache;
  // What finds no place there is kept in memory up to this many bytes. When that is full, further
  // ones are decoded each time.
  uint64_t cache_bytes = 512u << 20;
};

struct Batch {
  std::vector<uint8_t> pixels;          // [n, size, size, 3] RGB; empty where all is planned
  std::vector<PlannedPicture> planned;  // [n]; empty without a store
  std::vector<int32_t> labels;          // [n]
  std::vector<uint64_t> indices;        // [n], within the split
  int size = 0;                         // n; 0 for an empty step
};

class Loader {
 public:
  // Errors: INVALID_ARGUMENT (an option), NOT_FOUND or DATA_LOSS (a shard that is missing or has
  // another size than the manifest says; the message names it).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Loader>> Create(const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Keeps the pictures that it decodes from here on in `store`, under their indices, and gives
  // plans for those that it holds. Of no effect on a loader that does not augment.
  void KeepIn(std::shared_ptr<PictureStore> store);

  // Begins to work on an epoch: steps[i] are the sample indices within the split (as EpochPlan
  // gives them) of step i; a step may be empty. Batches of an earlier epoch that were not taken are
  // dropped. turns[i]: which use of its sample in this epoch each of them is, so that each looks
  // otherwise; empty: the first.
  // Errors: OUT_OF_RANGE (an index beyond the split), INVALID_ARGUMENT (turns of other lengths).
  [[nodiscard]] absl::Status StartEpoch(uint64_t epoch, std::vector<std::vector<uint64_t>> steps,
                                        std::vector<std::vector<uint64_t>> turns = {});

  // The next step's batch; waits for it.
  // Errors: DATA_LOSS (a picture cannot be read or decoded; names its key and shard),
  // OUT_OF_RANGE (the epoch has no further steps), FAILED_PRECONDITION (no epoch was started).
  [[nodiscard]] absl::StatusOr<Batch> Next();

  uint64_t num_samples() const;

 private:
  class Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mead::data
