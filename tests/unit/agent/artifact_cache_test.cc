#include "worker/agent/artifact_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"

namespace mead::agent {
namespace {

// Artefacts in memory, with faults on demand.
class FakeSource : public ArtifactSource {
 public:
  std::string Put(const std::string& content) {
    const std::string digest = DigestOf(content);
    content_[digest] = content;
    return digest;
  }
  absl::Status Read(const std::string& digest, uint64_t offset, const Sink& sink,
                    std::stop_token stop) override {
    std::lock_guard lock(mutex_);
    offsets.push_back(offset);
    if (blocked) {
      while (!stop.stop_requested()) std::this_thread::yield();
      return absl::CancelledError("stopped");
    }
    const auto it = content_.find(digest);
    if (it == content_.end()) return absl::NotFoundError("no such artefact: " + digest);
    if (offset > it->second.size()) return absl::OutOfRangeError("offset beyond the end");
    std::string rest = it->second.substr(offset);
    if (wrong_reads > 0) {
      --wrong_reads;
      rest[0] = static_cast<char>(rest[0] ^ 1);
    }
    if (breaks_after > 0) {
      const absl::Status status = sink(rest.substr(0, std::exchange(breaks_after, 0)));
      return status.ok() ? absl::UnavailableError("the connection broke") : status;
    }
    return sink(rest);
  }
  absl::Status Upload(const std::string&, const std::filesystem::path&, std::stop_token) override {
    return absl::UnimplementedError("not needed here");
  }

  std::vector<uint64_t> offsets;
  size_t breaks_after = 0;  // the next read breaks after so many bytes
  int wrong_reads = 0;      // so many reads bring a wrong byte
  bool blocked = false;

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> content_;
};

class ArtifactCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<ArtifactCache> Open(uint64_t capacity = 1 << 20) {
    return ArtifactCache::Open({.dir = dir_.path(),
                                .capacity_bytes = capacity,
                                .first_backoff = absl::Milliseconds(1),
                                .max_backoff = absl::Milliseconds(2)},
                               source_)
        .value();
  }
  std::string Content(const ArtifactCache::Pin& pin) { return ReadFile(pin.path()).value(); }
  bool OnDisk(const std::string& digest) {
    return std::filesystem::exists(dir_.path() / "blobs" / std::string(DigestHex(digest)));
  }

  testing::TempDir dir_;
  FakeSource source_;
};

TEST_F(ArtifactCacheTest, AnArtefactIsFetchedOnceAndThenComesFromTheDisk) {
  const std::string digest = source_.Put("hello");
  auto cache = Open();
  EXPECT_EQ(Content(cache->Fetch(digest, {}).value()), "hello");
  EXPECT_EQ(Content(cache->Fetch(digest, {}).value()), "hello");
  EXPECT_EQ(source_.offsets, std::vector<uint64_t>{0});
  // Also for the agent's next process.
  EXPECT_EQ(Content(Open()->Fetch(digest, {}).value()), "hello");
  EXPECT_EQ(source_.offsets.size(), 1u);
}

TEST_F(ArtifactCacheTest, ABrokenTransferGoesOnAtItsOffset) {
  const std::string digest = source_.Put("0123456789");
  source_.breaks_after = 4;
  EXPECT_EQ(Content(Open()->Fetch(digest, {}).value()), "0123456789");
  EXPECT_EQ(source_.offsets, (std::vector<uint64_t>{0, 4}));
}

TEST_F(ArtifactCacheTest, APartOfAnEarlierProcessIsGoneOnWith) {
  const std::string digest = source_.Put("0123456789");
  auto cache = Open();
  std::ofstream(dir_.path() / "partial" / std::string(DigestHex(digest))) << "012345";
  EXPECT_EQ(Content(cache->Fetch(digest, {}).value()), "0123456789");
  EXPECT_EQ(source_.offsets, std::vector<uint64_t>{6});
}

TEST_F(ArtifactCacheTest, AWrongByteIsNoticedAndFetchedAgain) {
  const std::string digest = source_.Put("0123456789");
  source_.wrong_reads = 2;
  EXPECT_EQ(Content(Open()->Fetch(digest, {}).value()), "0123456789");
  source_.wrong_reads = 100;
  const std::string other = source_.Put("abc");
  EXPECT_EQ(Open()->Fetch(other, {}).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ArtifactCacheTest, APartLongerThanTheArtefactIsDropped) {
  const std::string digest = source_.Put("short");
  auto cache = Open();
  std::ofstream(dir_.path() / "partial" / std::string(DigestHex(digest))) << "much too long";
  EXPECT_EQ(Content(cache->Fetch(digest, {}).value()), "short");
}

TEST_F(ArtifactCacheTest, AFileDamagedOnTheDiskIsFetchedAgainByTheNextProcess) {
  const std::string digest = source_.Put("hello");
  ASSERT_TRUE(Open()->Fetch(digest, {}).ok());
  std::ofstream(dir_.path() / "blobs" / std::string(DigestHex(digest))) << "hellO";
  EXPECT_EQ(Content(Open()->Fetch(digest, {}).value()), "hello");
}

TEST_F(ArtifactCacheTest, WhatDoesNotExistIsAnErrorAtOnce) {
  EXPECT_EQ(Open()->Fetch(DigestOf("unknown"), {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Open()->Fetch("sha256:../../etc/passwd", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ArtifactCacheTest, TheLeastRecentlyUsedGoFirstAndTheBoundHolds) {
  const std::string a = source_.Put(std::string(40, 'a'));
  const std::string b = source_.Put(std::string(40, 'b'));
  const std::string c = source_.Put(std::string(40, 'c'));
  auto cache = Open(/*capacity=*/100);
  ASSERT_TRUE(cache->Fetch(a, {}).ok());
  ASSERT_TRUE(cache->Fetch(b, {}).ok());
  ASSERT_TRUE(cache->Fetch(a, {}).ok());  // b is now the older one
  ASSERT_TRUE(cache->Fetch(c, {}).ok());
  EXPECT_TRUE(OnDisk(a));
  EXPECT_FALSE(OnDisk(b));
  EXPECT_TRUE(OnDisk(c));
  EXPECT_EQ(cache->bytes(), 80u);
  // A smaller bound at the next start is kept at once.
  EXPECT_EQ(Open(/*capacity=*/50)->bytes(), 40u);
}

TEST_F(ArtifactCacheTest, WhatIsInUseStaysEvenBeyondTheBound) {
  const std::string a = source_.Put(std::string(80, 'a'));
  const std::string b = source_.Put(std::string(80, 'b'));
  auto cache = Open(/*capacity=*/100);
  {
    const ArtifactCache::Pin first = cache->Fetch(a, {}).value();
    const ArtifactCache::Pin second = cache->Fetch(b, {}).value();
    EXPECT_TRUE(OnDisk(a));
    EXPECT_TRUE(OnDisk(b));
  }
  EXPECT_EQ(cache->bytes(), 80u);
}

TEST_F(ArtifactCacheTest, TwoMembersThatWantTheSameArtefactFetchItOnce) {
  const std::string digest = source_.Put(std::string(1 << 16, 'z'));
  auto cache = Open();
  {
    std::vector<std::jthread> members;
    for (int i = 0; i < 8; ++i) {
      members.emplace_back([&] { EXPECT_TRUE(cache->Fetch(digest, {}).ok()); });
    }
  }
  EXPECT_EQ(source_.offsets.size(), 1u);
}

TEST_F(ArtifactCacheTest, AStopEndsAFetchThatWouldWaitForEver) {
  const std::string digest = source_.Put("hello");
  source_.blocked = true;
  auto cache = Open();
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(cache->Fetch(digest, stop.get_token()).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mead::agent
