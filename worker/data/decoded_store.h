// Decoded pictures of one split at one size, kept so that they need not be decoded again.
//
// In this process's memory (memory_store.h), or in a file that all trainers of a node share
// (mapped_store.h). The pixels are those that decoding gives, byte for byte.
// Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/augment/augment_plan.h"
#include "common/dataset/image.h"
#include "common/dataset/manifest.h"

namespace mead::data {

// A store's picture. The pixels stay in place while this and the store live.
struct DecodedPicture {
  PictureSize size;
  const uint8_t* pixels = nullptr;               // [height, width, 3] uint8 RGB
  std::shared_ptr<const dataset::Image> holder;  // or none: the store's own
};

class DecodedStore {
 public:
  virtual ~DecodedStore() = default;

  // A picture that is kept. Nothing: the caller should decode it and offer it to Keep(). Where
  // another process is just decoding it, waits a little for that.
  virtual std::optional<DecodedPicture> Find(size_t picture) = 0;

  // Returns whether it is kept; false: there is no room.
  virtual bool Keep(size_t picture, const std::shared_ptr<const dataset::Image>& image) = 0;

  // As Keep, for a picture that this process will not ask for again: of use to others, or nothing.
  virtual bool KeepForOthers(size_t picture,
                             const std::shared_ptr<const dataset::Image>& image) = 0;
};

// The node's cache of decoded pictures.
struct DecodedCacheOptions {
  std::string dir;  // empty: none
  // Of all files in dir together.
  uint64_t limit_bytes = 0;
  // The disk is never filled further than this.
  uint64_t keep_free_bytes = uint64_t{1} << 30;
  // The manifest's, or FoldDigest() of a fold: it names the pictures of the splits.
  std::string dataset_digest;
  // Takes lines for the trial's log; any thread.
  std::function<void(const std::string&)> say = [](const std::string&) {};
};

// What the pixels of a store depend on, beside the data set.
struct DecodedKind {
  dataset::Split split = dataset::Split::kTrain;
  int decode_side = 0;  // ImageDecoder::Decode's min_side
  // What else was done to the pixels; empty: nothing.
  std::string variant;
};

// The node's cache, and what it has no room for in memory; or memory alone, if there is no cache
// or it cannot be used (and says why). memory_bytes bounds the part in memory.
std::unique_ptr<DecodedStore> OpenDecodedStore(const dataset::Manifest& manifest,
                                               const DecodedKind& kind,
                                               const DecodedCacheOptions& cache,
                                               uint64_t memory_bytes);

}  // namespace mead::data
