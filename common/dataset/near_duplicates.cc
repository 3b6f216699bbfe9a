#include "common/dataset/near_duplicates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "common/base/rng.h"
#include "common/dataset/disjoint_sets.h"
#include "common/dataset/parallel.h"
#include "common/dataset/same_picture.h"

namespace mead::dataset {
namespace {

// Copies differ in some 10 % of the bits (25 % at worst), so a copy shares the first 17 bits of an
// order, which tell 100,000 pictures apart, in one order of six.
constexpr size_t kOrders = 32;
constexpr size_t kNeighbours = 8;
constexpr size_t kWords = 4;
constexpr size_t kBits = 64 * kWords;
constexpr int kMaxDifferentBits = 80;  // of 256: a correlation of about 0.55
constexpr uint64_t kSeed = 0x6d656164;

// Coarse detail: means over cells of 4x4 pixels.
constexpr int kCell = 4;
constexpr int kCells = kThumbnailSide / kCell;
constexpr size_t kCoarse = static_cast<size_t>(kCells) * kCells;

using Signature = std::array<uint64_t, kWords>;
using Projections = std::vector<float>;  // [kBits, kCoarse]

Projections DrawProjections() {
  Rng rng(kSeed);
  Projections projections(kBits * kCoarse);
  for (float& value : projections) value = static_cast<float>(rng.Uniform(-1, 1));
  return projections;
}

Signature SignatureOf(const Detail& detail, const Projections& projections) {
  std::array<float, kCoarse> coarse{};
  for (int y = 0; y < kThumbnailSide; ++y) {
    for (int x = 0; x < kThumbnailSide; ++x) {
      coarse[static_cast<size_t>(y / kCell * kCells + x / kCell)] +=
          detail.smooth[static_cast<size_t>(y * kThumbnailSide + x)];
    }
  }
  Signature signature{};
  for (size_t bit = 0; bit < kBits; ++bit) {
    float sum = 0;
    for (size_t i = 0; i < kCoarse; ++i) sum += projections[bit * kCoarse + i] * coarse[i];
    if (sum > 0) signature[bit / 64] |= uint64_t{1} << (bit % 64);
  }
  return signature;
}

int DifferentBits(const Signature& a, const Signature& b) {
  int different = 0;
  for (size_t w = 0; w < kWords; ++w) different += std::popcount(a[w] ^ b[w]);
  return different;
}

// 64 of the signature's bits in a random order of their own.
class BitOrder {
 public:
  explicit BitOrder(uint64_t number) {
    std::array<uint8_t, kBits> all{};
    for (size_t i = 0; i < kBits; ++i) all[i] = static_cast<uint8_t>(i);
    Rng rng = Rng::ForKey(kSeed, number);
    rng.Shuffle(std::span<uint8_t>(all));
    std::copy_n(all.begin(), bits_.size(), bits_.begin());
  }
  uint64_t Key(const Signature& signature) const {
    uint64_t key = 0;
    for (const uint8_t bit : bits_) key = key << 1 | (signature[bit / 64] >> (bit % 64) & 1);
    return key;
  }

 private:
  std::array<uint8_t, 64> bits_{};
};

// One picture of those with equal files, if it has detail.
struct Candidate {
  size_t index = 0;  // into the looks
  Signature signature{};
};

class Search {
 public:
  Search(std::span<const Look> looks, int threads) : looks_(looks), threads_(threads) {}

  std::vector<uint32_t> Run(const Progress& progress);

 private:
  using Pair = std::pair<uint32_t, uint32_t>;  // of candidates, the smaller first

  void JoinEqualFiles();
  void SignAll();
  std::vector<Pair> Neighbours(uint64_t order);
  // For each pair whether it shows one picture.
  std::vector<char> Judge(const std::vector<Pair>& pairs) const;

  const std::span<const Look> looks_;
  const int threads_;
  DisjointSets sets_{looks_.size()};
  std::vector<Candidate> candidates_;
  std::unordered_set<uint64_t> judged_;  // pairs that came up before
};

void Search::JoinEqualFiles() {
  // By digest, so that which order the pictures came in does not matter to the search.
  std::map<std::string_view, size_t> first;
  for (size_t i = 0; i < looks_.size(); ++i) {
    const auto [it, is_new] = first.emplace(looks_[i].digest, i);
    if (!is_new) sets_.Join(it->second, i);
  }
  for (const auto& [digest, index] : first) candidates_.push_back({.index = index});
}

void Search::SignAll() {
  const Projections projections = DrawProjections();
  std::vector<char> blank(candidates_.size());
  ParallelFor(candidates_.size(), threads_,
              [&]() -> std::function<void(uint64_t)> {
                return [&](uint64_t c) {
                  const Detail detail = DetailOf(looks_[candidates_[c].index].thumbnail);
                  blank[c] = detail.blank ? 1 : 0;
                  candidates_[c].signature = SignatureOf(detail, projections);
                };
              },
              {});
  size_t kept = 0;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    if (!blank[c]) candidates_[kept++] = candidates_[c];
  }
  candidates_.resize(kept);
}

std::vector<Search::Pair> Search::Neighbours(uint64_t order) {
  const BitOrder bits(order);
  std::vector<std::pair<uint64_t, uint32_t>> sorted;
  sorted.reserve(candidates_.size());
  for (uint32_t c = 0; c < candidates_.size(); ++c) {
    sorted.emplace_back(bits.Key(candidates_[c].signature), c);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<Pair> pairs;
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t j = i + 1; j < std::min(sorted.size(), i + 1 + kNeighbours); ++j) {
      const auto [low, high] = std::minmax(sorted[i].second, sorted[j].second);
      const Candidate& a = candidates_[low];
      const Candidate& b = candidates_[high];
      if (DifferentBits(a.signature, b.signature) > kMaxDifferentBits) continue;
      if (sets_.Find(a.index) == sets_.Find(b.index)) continue;
      if (judged_.insert(uint64_t{low} << 32 | high).second) pairs.emplace_back(low, high);
    }
  }
  return pairs;
}

std::vector<char> Search::Judge(const std::vector<Pair>& pairs) const {
  std::vector<char> same(pairs.size());
  ParallelFor(pairs.size(), threads_,
              [&]() -> std::function<void(uint64_t)> {
                return [&](uint64_t p) {
                  const Detail a = DetailOf(looks_[candidates_[pairs[p].first].index].thumbnail);
                  const Detail b = DetailOf(looks_[candidates_[pairs[p].second].index].thumbnail);
                  same[p] = Similarity(a, b) >= kSamePicture ? 1 : 0;
                };
              },
              {});
  return same;
}

std::vector<uint32_t> Search::Run(const Progress& progress) {
  JoinEqualFiles();
  SignAll();
  for (size_t order = 0; order < kOrders; ++order) {
    const std::vector<Pair> pairs = Neighbours(order);
    const std::vector<char> same = Judge(pairs);
    for (size_t p = 0; p < pairs.size(); ++p) {
      if (same[p]) {
        sets_.Join(candidates_[pairs[p].first].index, candidates_[pairs[p].second].index);
      }
    }
    if (progress) progress("compare", order + 1, kOrders);
  }
  return sets_.Numbers();
}

}  // namespace

std::vector<uint32_t> GroupNearDuplicates(std::span<const Look> looks, int threads,
                                          const Progress& progress) {
  return Search(looks, threads).Run(progress);
}

}  // namespace mead::dataset
