// Processes that share a store of decoded pictures, and are killed in the midst of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/decoded_pictures.h"
#include "tests/support/temp_dir.h"

namespace mead::data {
namespace {

using testing::DecodedImage;
using testing::Equals;
using testing::MappedOptions;

// A child that says numbers through a pipe.
class Child {
 public:
  explicit Child(const std::function<void(const std::function<void(uint64_t)>& say)>& work) {
    int fds[2];
    if (pipe(fds) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      close(fds[0]);
      work([&](uint64_t number) {
        if (write(fds[1], &number, sizeof(number)) != sizeof(number)) _exit(3);
      });
      _exit(0);
    }
    close(fds[1]);
    pipe_ = fds[0];
  }
  ~Child() {
    if (pid_ > 0) Kill();
    close(pipe_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // False at the child's end.
  bool Read(uint64_t& number) { return read(pipe_, &number, sizeof(number)) == sizeof(number); }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  int Wait() {
    int status = -1;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
  int pipe_ = -1;
};

std::unique_ptr<MappedStore> OpenOrExit(const MappedStoreOptions& options) {
  auto store = MappedStore::Open(options);
  if (!store.ok()) _exit(2);
  return *std::move(store);
}

TEST(DecodedStoreKill, AClaimOfAKilledProcessIsPassedOver) {
  const testing::TempDir dir;
  MappedStoreOptions options = MappedOptions(dir.Join("cache"), 4);
  options.claim_wait = absl::Milliseconds(1);
  // Open meanwhile, so that nobody is alone with the file and puts it right.
  const auto before = MappedStore::Open(options).value();
  Child child([&](const auto& say) {
    const auto store = OpenOrExit(options);
    say(store->Find(2).has_value());
    pause();
  });
  uint64_t found = 1;
  ASSERT_TRUE(child.Read(found));
  EXPECT_EQ(found, 0u);
  child.Kill();
  EXPECT_FALSE(before->Find(2).has_value());
  EXPECT_TRUE(before->Keep(2, DecodedImage(2)));
  EXPECT_TRUE(Equals(before->Find(2).value(), *DecodedImage(2)));
}

TEST(DecodedStoreKill, APictureWrittenInHalfIsNeverSeen) {
  const testing::TempDir dir;
  MappedStoreOptions options = MappedOptions(dir.Join("cache"), 4);
  options.claim_wait = absl::Milliseconds(1);
  const std::string path = MappedStore::Open(options).value()->path();
  Child child([&](const auto& say) {
    const auto store = OpenOrExit(options);
    if (store->Find(1).has_value()) _exit(4);
    // What Keep() has done by the middle of a picture.
    const auto image = DecodedImage(1);
    const int fd = open(path.c_str(), O_RDWR);
    off_t at = lseek(fd, 0, SEEK_END);
    for (size_t i = 1; i < 4; ++i) at -= static_cast<off_t>(PageBytes(options.max_bytes[i]));
    if (pwrite(fd, image->pixels.data(), image->pixels.size() / 2, at) < 0) _exit(5);
    say(1);
    pause();
  });
  uint64_t number = 0;
  ASSERT_TRUE(child.Read(number));
  const auto store = MappedStore::Open(options).value();
  EXPECT_FALSE(store->Find(1).has_value());
  child.Kill();
  EXPECT_FALSE(store->Find(1).has_value());
  EXPECT_TRUE(store->Keep(1, DecodedImage(1)));
  EXPECT_TRUE(Equals(store->Find(1).value(), *DecodedImage(1)));
}

TEST(DecodedStoreKill, AWaitingProcessIsWokenByTheOneThatDecodes) {
  const testing::TempDir dir;
  MappedStoreOptions options = MappedOptions(dir.Join("cache"), 4);
  options.claim_wait = absl::Minutes(10);  // only being woken ends the wait in time
  const auto store = MappedStore::Open(options).value();
  ASSERT_FALSE(store->Find(0).has_value());
  Child child([&](const auto& say) {
    const auto theirs = OpenOrExit(options);
    say(1);
    const auto found = theirs->Find(0);
    say(found.has_value() && Equals(*found, *DecodedImage(0)) ? 2 : 3);
  });
  uint64_t number = 0;
  ASSERT_TRUE(child.Read(number));
  EXPECT_TRUE(store->Keep(0, DecodedImage(0)));
  ASSERT_TRUE(child.Read(number));
  EXPECT_EQ(number, 2u);
  EXPECT_EQ(child.Wait(), 0);
}

// Goes through all pictures in the common order, as sibling trials do; says how many it decoded
// so far, or kPictures + 1 if it sees a picture that is not whole.
constexpr size_t kPictures = 300;
void GoThrough(const MappedStoreOptions& options, const std::function<void(uint64_t)>& say) {
  const auto store = OpenOrExit(options);
  uint64_t decoded = 0;
  for (size_t i = 0; i < kPictures; ++i) {
    const auto found = store->Find(i);
    if (!found.has_value()) {
      ++decoded;
      store->Keep(i, DecodedImage(i));
    } else if (!Equals(*found, *DecodedImage(i))) {
      say(kPictures + 1);
      _exit(6);
    }
    say(decoded);
  }
}

TEST(DecodedStoreKill, ProcessesInTheSameOrderDecodeEachPictureOnce) {
  const testing::TempDir dir;
  MappedStoreOptions options = MappedOptions(dir.Join("cache"), kPictures);
  options.claim_wait = absl::Minutes(10);
  const auto work = [&](const auto& say) { GoThrough(options, say); };
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 4; ++i) children.push_back(std::make_unique<Child>(work));
  uint64_t decoded = 0;
  for (const auto& child : children) {
    uint64_t told = 0;
    while (child->Read(told)) ASSERT_LE(told, kPictures);
    EXPECT_EQ(child->Wait(), 0);
    decoded += told;
  }
  EXPECT_EQ(decoded, kPictures);
}

TEST(DecodedStoreKill, ProcessesKilledAtAnyMomentLeaveWholePicturesAndNoGaps) {
  const testing::TempDir dir;
  MappedStoreOptions options = MappedOptions(dir.Join("cache"), kPictures);
  options.claim_wait = absl::Milliseconds(20);
  Rng rng(11);
  const auto work = [&](const auto& say) { GoThrough(options, say); };
  for (int round = 0; round < 12; ++round) {
    std::vector<std::unique_ptr<Child>> children;
    for (int i = 0; i < 3; ++i) children.push_back(std::make_unique<Child>(work));
    // Others are further or less far by then, wherever they are.
    uint64_t told = 0;
    const uint64_t steps = 1 + rng.Below(kPictures / 4) + static_cast<uint64_t>(round) * 20;
    for (uint64_t i = 0; i < steps && children[0]->Read(told); ++i) ASSERT_LE(told, kPictures);
    for (const auto& child : children) child->Kill();
    for (const auto& child : children) {
      while (child->Read(told)) ASSERT_LE(told, kPictures);
    }
  }
  Child last(work);
  uint64_t told = 0;
  while (last.Read(told)) ASSERT_LE(told, kPictures);
  EXPECT_EQ(last.Wait(), 0);
  const auto store = MappedStore::Open(options).value();
  EXPECT_EQ(store->NumReady(), kPictures);
  for (size_t i = 0; i < kPictures; ++i) {
    EXPECT_TRUE(Equals(store->Find(i).value(), *DecodedImage(i))) << i;
  }
}

}  // namespace
}  // namespace mead::data
