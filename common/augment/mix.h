// Mixup and CutMix: each picture of a training batch is blended with another one of the batch, or
// has a rectangle of it, and counts for both classes by their shares.
//
// One draw per step, for the whole gang: which of the two, how much, where. A picture's partner
// is the one behind it in the global batch (the last one's the first), whose order is random in
// each epoch already; so a rank needs one picture from another rank's part, and no more.
// Source: Zhang et al., mixup, ICLR 2018; Yun et al., CutMix, ICCV 2019; the rolled batch, the
//         box and one of the two per batch are torchvision's MixUp, CutMix and RandomChoice.
// Units:  pixels of the square pictures of a batch.
// Thread: pure functions; deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/augment/augment_math.h"

namespace mead {

struct MixOptions {
  // alpha of Beta(alpha, alpha), from which the partner's share is drawn; 0: never; to 100.
  double mixup = 0;
  double cutmix = 0;

  bool any() const { return mixup > 0 || cutmix > 0; }
};

// The first setting that is out of its range, in words; empty if none is.
std::string ProblemOf(const MixOptions& options);

struct MixKey {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t step = 0;  // of the epoch
};

inline constexpr int kMixBits = 12;  // after the point of a weight

struct MixPlan {
  PixelBox box = {};           // what the partner has a part in
  int32_t partner_weight = 0;  // within it; kMixBits follow the point; [0, 1]

  bool operator==(const MixPlan&) const = default;
};

MixPlan DrawMix(const MixKey& key, const MixOptions& options, int image_size);

// Of the picture, and so of the label: [0, 1]. What the pixels got, not what was drawn.
double PartnerShare(const MixPlan& plan, int image_size);

// One level: blended in integers and rounded once, on CPU and GPU alike.
MEAD_HOST_DEVICE static inline int32_t Mixed(int32_t own, int32_t partner, int32_t weight) {
  constexpr int32_t kOne = 1 << kMixBits;
  return (own * (kOne - weight) + partner * weight + kOne / 2) >> kMixBits;
}

// own, partner, out: [image_size, image_size, 3], uint8.
void MixPictures(const uint8_t* own, const uint8_t* partner, const MixPlan& plan, int image_size,
                 uint8_t* out);

// What one rank mixes in a step. Its batch has `pictures` pictures: its own part, and behind it
// perhaps one of another rank's part.
struct BatchMix {
  MixPlan plan;
  std::vector<int32_t> partners;  // [n], each own picture's: a place of the batch
  int32_t pictures = 0;           // n, or n + 1
};

// For the places [begin, begin + count) of a global batch of `size`; plan is left empty.
BatchMix PartnersOf(size_t size, size_t begin, size_t count);

// The place in the global batch of the picture behind the rank's own, if there is one.
std::optional<size_t> PlaceFromElsewhere(size_t size, size_t begin, size_t count);

}  // namespace mead
