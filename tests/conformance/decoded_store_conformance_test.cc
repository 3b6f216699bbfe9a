// What every store of decoded pictures does, whatever keeps them.
#include <gtest/gtest.h>

#include <thread>

#include "common/dataset/manifest.h"
#include "tests/support/decoded_pictures.h"
#include "tests/support/temp_dir.h"
#include "worker/data/memory_store.h"

namespace mead::data {
namespace {

using testing::DecodedImage;
using testing::Equals;

constexpr size_t kPictures = 40;

class DecodedStoreConformance : public ::testing::TestWithParam<const char*> {
 protected:
  // In memory, in a file, or in a file with room for about a third and the rest in memory.
  std::unique_ptr<DecodedStore> Make() {
    const std::string kind = GetParam();
    if (kind == "memory") return std::make_unique<MemoryStore>(kPictures, uint64_t{1} << 30);
    MappedStoreOptions options = testing::MappedOptions(dir_.Join("cache"), kPictures);
    options.claim_wait = absl::ZeroDuration();
    if (kind == "mapped") return MappedStore::Open(options).value();
    dataset::Manifest manifest;
    for (size_t i = 0; i < kPictures; ++i) {
      const auto image = DecodedImage(i);
      dataset::Sample& sample = manifest.samples.emplace_back();
      sample.width = static_cast<uint32_t>(image->width);
      sample.height = static_cast<uint32_t>(image->height);
    }
    options.cache.limit_bytes = 8192 * kPictures / 3;
    return OpenDecodedStore(manifest, options.kind, options.cache, uint64_t{1} << 30);
  }

 private:
  const testing::TempDir dir_;
};

TEST_P(DecodedStoreConformance, WhatIsKeptIsFoundAndNothingElse) {
  const auto store = Make();
  for (size_t i = 0; i < kPictures; i += 2) EXPECT_TRUE(store->Keep(i, DecodedImage(i)));
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < kPictures; ++i) {
      const auto found = store->Find(i);
      ASSERT_EQ(found.has_value(), i % 2 == 0) << i;
      if (found.has_value()) {
        EXPECT_TRUE(Equals(*found, *DecodedImage(i))) << i;
      }
    }
  }
}

TEST_P(DecodedStoreConformance, KeepingTwiceIsKeepingOnce) {
  const auto store = Make();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(store->Keep(5, DecodedImage(5)));
  EXPECT_TRUE(Equals(store->Find(5).value(), *DecodedImage(5)));
}

TEST_P(DecodedStoreConformance, ThreadsFillItTogether) {
  const auto store = Make();
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (size_t k = 0; k < kPictures; ++k) {
          const size_t i = (k + t) % kPictures;
          const auto found = store->Find(i);
          if (found.has_value()) {
            EXPECT_TRUE(Equals(*found, *DecodedImage(i))) << i;
          } else {
            EXPECT_TRUE(store->Keep(i, DecodedImage(i)));
          }
        }
      });
    }
  }
  for (size_t i = 0; i < kPictures; ++i) {
    EXPECT_TRUE(Equals(store->Find(i).value(), *DecodedImage(i))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, DecodedStoreConformance,
                         ::testing::Values("memory", "mapped", "layered"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace mead::data
