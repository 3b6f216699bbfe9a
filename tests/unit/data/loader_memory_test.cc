// A data set of any size leaves a worker's memory as it is.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"
#include "worker/data/loader.h"

namespace mead::data {
namespace {

constexpr uint64_t kShardBytes = uint64_t{20} << 30;
constexpr uint64_t kPictures = 1200;
constexpr int kSide = 128;
constexpr uint64_t kBatch = 16;

// Of this process's own pages; those of files are the kernel's.
uint64_t OwnBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib << 10;
  }
  return 0;
}

// 1,200 pictures, 59 MB of decoded pixels, far apart in a shard that is a hole otherwise.
TEST(LoaderMemory, StaysBelowItsBoundForAShardOfTwentyGigabytes) {
  const testing::TempDir dir;
  const std::string path = dir.Join("train-00000.tar");
  const std::string jpeg = dataset::Jpeg(140, 128, 3);
  dataset::Manifest manifest;
  manifest.classes = {"a", "b"};
  manifest.shards = {{.digest = "", .bytes = kShardBytes, .num_samples = kPictures}};
  {
    const ScopedFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_TRUE(file.valid());
    if (ftruncate(file.get(), static_cast<off_t>(kShardBytes)) != 0) {
      GTEST_SKIP() << "the file system under " << dir.path() << " has no files of 20 GiB";
    }
    for (uint64_t i = 0; i < kPictures; ++i) {
      const uint64_t offset = i * (kShardBytes / kPictures);
      ASSERT_EQ(pwrite(file.get(), jpeg.data(), jpeg.size(), static_cast<off_t>(offset)),
                std::ssize(jpeg));
      dataset::Sample& sample = manifest.samples.emplace_back();
      sample.key = absl::StrCat(i);
      sample.class_id = static_cast<uint32_t>(i % 2);
      sample.offset = offset;
      sample.size = jpeg.size();
      sample.width = 140;
      sample.height = 128;
    }
  }
  LoaderOptions options;
  options.manifest = &manifest;
  options.shard_paths = {path};
  options.image_size = kSide;
  options.threads = 2;
  options.cache_bytes = 4 << 20;
  const auto loader = Loader::Create(options).value();
  std::vector<std::vector<uint64_t>> steps(kPictures / kBatch);
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].resize(kBatch);
    std::iota(steps[i].begin(), steps[i].end(), i * kBatch);
  }
  const uint64_t before = OwnBytes();
  ASSERT_GT(before, 0u);
  uint64_t most = before;
  ASSERT_TRUE(loader->StartEpoch(1, steps).ok());
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSERT_TRUE(loader->Next().ok());
    most = std::max(most, OwnBytes());
  }
  // The stated bound: the cache, the queue's batches and those at hand, and what decoders need.
  const uint64_t batches = (options.queue_batches + 2) * kBatch * 3 * kSide * kSide;
  const uint64_t decoders = 16u << 20;
  EXPECT_LT(most - before, options.cache_bytes + batches + decoders);
}

}  // namespace
}  // namespace mead::data
