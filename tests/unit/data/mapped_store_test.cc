#include "worker/data/mapped_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "common/files.h"
#include "tests/support/decoded_pictures.h"
#include "tests/support/temp_dir.h"

namespace mead::data {
namespace {

namespace fs = std::filesystem;
using testing::DecodedImage;
using ::testing::ElementsAre;
using testing::Equals;
using ::testing::HasSubstr;

constexpr size_t kPictures = 20;

class MappedStoreTest : public ::testing::Test {
 protected:
  MappedStoreOptions Options(char data_set = 'a') {
    MappedStoreOptions options = testing::MappedOptions(dir_.Join("cache"), kPictures);
    options.cache.dataset_digest = "sha256:" + std::string(64, data_set);
    options.cache.say = [this](const std::string& line) { said_.push_back(line); };
    options.claim_wait = absl::ZeroDuration();
    return options;
  }
  std::unique_ptr<MappedStore> OpenFull(const MappedStoreOptions& options) {
    auto store = MappedStore::Open(options).value();
    for (size_t i = 0; i < kPictures; ++i) EXPECT_TRUE(store->Keep(i, DecodedImage(i)));
    return store;
  }
  // The lines beside those that tell how many pictures are there.
  std::vector<std::string> Complaints() const {
    std::vector<std::string> lines;
    for (const std::string& line : said_) {
      if (!line.starts_with("decoded pictures (")) lines.push_back(line);
    }
    return lines;
  }
  size_t NumFiles() const {
    size_t files = 0;
    for (const auto& entry : fs::directory_iterator(dir_.path() / "cache")) {
      if (entry.path().extension() == ".pixels") ++files;
    }
    return files;
  }

  testing::TempDir dir_;
  std::vector<std::string> said_;
};

// Changes one byte of a file.
void Flip(const std::string& path, off_t at) {
  const ScopedFd fd(open(path.c_str(), O_RDWR));
  char byte = 0;
  ASSERT_EQ(pread(fd.get(), &byte, 1, at), 1);
  byte = static_cast<char>(byte ^ 0x10);
  ASSERT_EQ(pwrite(fd.get(), &byte, 1, at), 1);
}

TEST_F(MappedStoreTest, ALaterProcessFindsEverything) {
  OpenFull(Options());
  const auto store = MappedStore::Open(Options()).value();
  EXPECT_EQ(store->NumReady(), kPictures);
  for (size_t i = 0; i < kPictures; ++i) {
    EXPECT_TRUE(Equals(store->Find(i).value(), *DecodedImage(i))) << i;
  }
  EXPECT_THAT(said_.back(), HasSubstr("(train, 32 a side): 20 of 20 are in the node's cache"));
}

TEST_F(MappedStoreTest, WhatPixelsDependOnHasAFileOfItsOwn) {
  OpenFull(Options());
  OpenFull(Options('b'));
  MappedStoreOptions options = Options();
  options.kind.split = dataset::Split::kVal;
  OpenFull(options);
  options.kind.decode_side = 33;
  OpenFull(options);
  options.kind.variant = "without the box";
  EXPECT_EQ(MappedStore::Open(options).value()->NumReady(), 0u);
  EXPECT_EQ(NumFiles(), 5u);
}

TEST_F(MappedStoreTest, ADamagedPictureIsDecodedAgainAndNamed) {
  const std::string path = OpenFull(Options())->path();
  // The last picture takes two pages.
  Flip(path, static_cast<off_t>(fs::file_size(path)) - 8000);
  const auto store = MappedStore::Open(Options()).value();
  EXPECT_TRUE(store->Find(0).has_value());
  size_t missing = 0;
  for (size_t i = 0; i < kPictures; ++i) {
    if (const auto found = store->Find(i)) {
      EXPECT_TRUE(Equals(*found, *DecodedImage(i))) << i;
    } else {
      ++missing;
      EXPECT_TRUE(store->Keep(i, DecodedImage(i)));
      EXPECT_TRUE(Equals(store->Find(i).value(), *DecodedImage(i))) << i;
    }
  }
  EXPECT_EQ(missing, 1u);
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("is damaged")));
}

TEST_F(MappedStoreTest, AFileThatIsNotOneToUseIsNamedAndMadeAnew) {
  const std::string path = OpenFull(Options())->path();
  const std::string good = ReadFile(path).value();
  const auto with = [&](size_t at, char byte) {
    std::string changed = good;
    changed[at] = byte;
    return changed;
  };
  const std::pair<std::string, const char*> cases[] = {{"", "no cache of pictures"},
                                                       {"# notes", "no cache of pictures"},
                                                       {with(8, 9), "of format version 9"},
                                                       {with(40, 'x'), "damaged: its header"},
                                                       {good.substr(0, good.size() - 5), "cut off"},
                                                       {good.substr(0, 3000), "cut off"}};
  for (const auto& [content, why] : cases) {
    fs::remove(path);
    std::ofstream(path, std::ios::binary) << content;
    said_.clear();
    const auto store = MappedStore::Open(Options()).value();
    EXPECT_EQ(store->NumReady(), 0u);
    EXPECT_TRUE(store->Keep(3, DecodedImage(3)));
    EXPECT_TRUE(Equals(store->Find(3).value(), *DecodedImage(3)));
    EXPECT_THAT(Complaints(), ElementsAre(AllOf(HasSubstr(path), HasSubstr(why)))) << why;
  }
}

TEST_F(MappedStoreTest, AnOlderDecodersPicturesAreNotUsed) {
  const std::string path = OpenFull(Options())->path();
  MappedStoreOptions other = Options('b');
  const std::string theirs = OpenFull(other)->path();
  fs::rename(theirs, path);  // a good file, of other pictures
  EXPECT_EQ(MappedStore::Open(Options()).value()->NumReady(), 0u);
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("made for other pictures")));
}

TEST_F(MappedStoreTest, UnusedFilesMakeRoomOldestFirstAndUsedOnesStay) {
  MappedStoreOptions options = Options();
  // Twenty pictures take 26 pages or so: room for two data sets and a half.
  options.cache.limit_bytes = 65 * 4096;
  const auto with = [&](char data_set) {
    options.cache.dataset_digest = "sha256:" + std::string(64, data_set);
    return options;
  };
  const std::string oldest = OpenFull(with('a'))->path();
  const std::string newer = OpenFull(with('b'))->path();
  fs::last_write_time(oldest, fs::file_time_type::clock::now() - std::chrono::hours(2));
  fs::last_write_time(newer, fs::file_time_type::clock::now() - std::chrono::hours(1));
  const auto third = OpenFull(with('c'));
  EXPECT_FALSE(fs::exists(oldest));
  EXPECT_TRUE(fs::exists(newer));
  const auto fourth = OpenFull(with('d'));
  EXPECT_FALSE(fs::exists(newer));
  // Both are in use: what has no room is not kept, and that is said once.
  said_.clear();
  const auto fifth = MappedStore::Open(with('e')).value();
  size_t kept = 0;
  for (size_t i = 0; i < kPictures; ++i) {
    if (!fifth->Find(i).has_value() && fifth->Keep(i, DecodedImage(i))) ++kept;
  }
  EXPECT_GT(kept, 0u);
  EXPECT_LT(kept, kPictures);
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("has its 266240 bytes in use")));
  for (size_t i = 0; i < kPictures; ++i) {
    EXPECT_TRUE(Equals(third->Find(i).value(), *DecodedImage(i)));
    EXPECT_EQ(fifth->Find(i).has_value(), i < kept);
  }
  EXPECT_EQ(NumFiles(), 3u);
}

TEST_F(MappedStoreTest, AFileRemovedInUseServesItsUsers) {
  const auto store = OpenFull(Options());
  fs::remove_all(dir_.path() / "cache");
  for (size_t i = 0; i < kPictures; ++i) {
    EXPECT_TRUE(Equals(store->Find(i).value(), *DecodedImage(i)));
  }
  EXPECT_EQ(MappedStore::Open(Options()).value()->NumReady(), 0u);
}

TEST_F(MappedStoreTest, WhatAKilledMakerLeftIsCleared) {
  fs::create_directories(dir_.path() / "cache");
  const fs::path left = dir_.path() / "cache" / "something.pixels.new";
  std::ofstream(left) << "half a header";
  OpenFull(Options());
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(MappedStoreTest, AFolderThatCannotBeMadeIsAnErrorInWords) {
  std::ofstream(dir_.Join("cache")) << "a file";
  const absl::Status status = MappedStore::Open(Options()).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("cache"));
}

// The exit status of work done in a process of its own.
int InChild(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// 0: pictures 0 and 1 were kept before, the rest is not, it was said once, and none is lost.
int ExpectFull(MappedStore& store, const std::vector<std::string>& said) {
  const size_t before = said.size();
  for (size_t i = 2; i < kPictures; ++i) {
    if (store.Find(i).has_value() || store.Keep(i, DecodedImage(i))) return 1;
  }
  for (size_t i = 0; i < 2; ++i) {
    const auto found = store.Find(i);
    if (!found.has_value() || !Equals(*found, *DecodedImage(i))) return 2;
  }
  return said.size() == before + 1 && said.back().find("no more decoded") == 0 ? 0 : 3;
}

TEST_F(MappedStoreTest, AWriteThatFailsIsNotAnEndAndIsSaidOnce) {
  EXPECT_EQ(InChild([&] {
              const auto store = MappedStore::Open(Options()).value();
              for (size_t i = 0; i < 2; ++i) store->Keep(i, DecodedImage(i));
              signal(SIGXFSZ, SIG_IGN);
              const rlimit limit = {.rlim_cur = 4096 * 2, .rlim_max = 4096 * 2};
              if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 9;
              return ExpectFull(*store, said_);
            }),
            0);
  // Nothing of it is in the way of the next.
  OpenFull(Options());
}

TEST_F(MappedStoreTest, AFullDiskIsNotAnEndAndIsSaidOnce) {
  constexpr int kNoMount = 77;
  const int status = InChild([&] {
    const fs::path mount_point = dir_.path() / "cache";
    fs::create_directories(mount_point);
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("none", mount_point.c_str(), "tmpfs", 0, "size=256k") != 0) {
      return kNoMount;
    }
    const auto store = MappedStore::Open(Options()).value();
    for (size_t i = 0; i < 2; ++i) store->Keep(i, DecodedImage(i));
    // Somebody else takes the room that was set aside.
    const std::string rest(1 << 20, 'x');
    std::ofstream(mount_point / "other") << rest;
    return ExpectFull(*store, said_);
  });
  if (status == kNoMount) GTEST_SKIP() << "NOT RUN: this user may not mount a small disk";
  EXPECT_EQ(status, 0);
}

TEST_F(MappedStoreTest, TheDiskIsNeverFilledBeyondWhatStaysFree) {
  MappedStoreOptions options = Options();
  options.cache.keep_free_bytes = uint64_t{1} << 60;
  const auto store = MappedStore::Open(options).value();
  EXPECT_FALSE(store->Find(0).has_value());
  EXPECT_FALSE(store->Keep(0, DecodedImage(0)));
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("stay free")));
}

TEST_F(MappedStoreTest, APictureTakesDiskOnlyOnceItIsThere) {
  MappedStoreOptions options = Options();
  options.max_bytes.assign(kPictures, uint64_t{100} << 20);
  const auto store = MappedStore::Open(options).value();
  EXPECT_TRUE(store->Keep(7, DecodedImage(7)));
  struct stat info {};
  ASSERT_EQ(stat(store->path().c_str(), &info), 0);
  EXPECT_GT(info.st_size, 2'000'000'000);
  EXPECT_LT(info.st_blocks * 512, 100'000);
}

}  // namespace
}  // namespace mead::data
