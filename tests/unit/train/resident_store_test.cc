#include "worker/train/input/resident_store.h"

#include <gtest/gtest.h>

#include <thread>

namespace mead::train {
namespace {

std::vector<uint8_t> Pixels(PictureSize size, uint64_t picture) {
  std::vector<uint8_t> pixels(static_cast<size_t>(3 * size.width * size.height));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(31 * picture + i);
  return pixels;
}

// Sizes that no alignment suits.
PictureSize SizeOf(uint64_t picture) {
  return {static_cast<int>(5 + picture % 7), static_cast<int>(3 + picture % 11)};
}

bool Keep(ResidentStore& store, uint64_t picture) {
  const PictureSize size = SizeOf(picture);
  return store.Keep(picture, size, Pixels(size, picture).data());
}

bool Holds(const ResidentStore& store, uint64_t picture) {
  const auto found = store.Locate(picture);
  if (!found.has_value() || found->size != SizeOf(picture)) return false;
  const std::vector<uint8_t> expected = Pixels(SizeOf(picture), picture);
  return std::equal(expected.begin(), expected.end(), found->pixels);
}

TEST(ResidentStore, HoldsWhatItWasGivenFromAnyThread) {
  constexpr uint64_t kPictures = 400;
  ResidentStore store(at::kCPU, 1 << 20);
  {
    std::vector<std::jthread> threads;
    for (uint64_t first = 0; first < 4; ++first) {
      threads.emplace_back([&store, first] {
        for (uint64_t picture = first; picture < kPictures; picture += 4) {
          EXPECT_FALSE(store.Find(picture).has_value());
          EXPECT_TRUE(Keep(store, picture));
        }
      });
    }
  }
  uint64_t bytes = 0;
  for (uint64_t picture = 0; picture < kPictures; ++picture) {
    EXPECT_TRUE(Holds(store, picture));
    EXPECT_EQ(store.Find(picture), SizeOf(picture));
    bytes += Pixels(SizeOf(picture), picture).size();
  }
  EXPECT_FALSE(store.Find(kPictures).has_value());
  EXPECT_EQ(store.usage().pictures, kPictures);
  EXPECT_EQ(store.usage().bytes, bytes);
}

TEST(ResidentStore, KeepsToItsBoundAndDropsNothing) {
  constexpr uint64_t kCapacity = 10000;
  ResidentStore store(at::kCPU, kCapacity);
  EXPECT_EQ(store.usage().capacity_bytes, kCapacity);
  std::vector<uint64_t> kept;
  for (uint64_t picture = 0; picture < 200; ++picture) {
    if (Keep(store, picture)) kept.push_back(picture);
    ASSERT_LE(store.usage().bytes, kCapacity);
  }
  EXPECT_GT(kept.size(), 20u);
  EXPECT_LT(kept.size(), 200u);
  EXPECT_GT(store.usage().bytes, kCapacity * 3 / 4);
  for (const uint64_t picture : kept) EXPECT_TRUE(Holds(store, picture));
}

TEST(ResidentStore, APictureThatIsThereIsNotTakenTwice) {
  ResidentStore store(at::kCPU, 1 << 20);
  EXPECT_TRUE(Keep(store, 7));
  const uint8_t* pixels = store.Locate(7)->pixels;
  EXPECT_TRUE(Keep(store, 7));
  EXPECT_EQ(store.Locate(7)->pixels, pixels);
  EXPECT_EQ(store.usage().pictures, 1u);
}

TEST(ResidentStore, WithoutRoomNothingIsKept) {
  ResidentStore store(at::kCPU, 0);
  EXPECT_FALSE(Keep(store, 1));
  EXPECT_FALSE(store.Find(1).has_value());
}

}  // namespace
}  // namespace mead::train
