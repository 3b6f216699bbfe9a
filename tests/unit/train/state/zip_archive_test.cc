#include "worker/train/state/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "tests/support/memory_source.h"
#include "tests/unit/train/state/torch_bytes.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MemorySource;

const std::vector<ZipPart> kParts = {{.name = "a", .content = "first"},
                                     {.name = "b/c", .content = ""},
                                     {.name = "d", .content = std::string(300, 'x')}};

std::string ErrorOf(const std::string& content) {
  try {
    ReadZipDirectory(MemorySource(content));
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUserError);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("weights.pth"), HasSubstr("byte")));
    return error.what();
  }
  return "";
}

// `content` with the last `from` in it replaced.
std::string With(std::string content, const std::string& from, const std::string& to) {
  content.replace(content.rfind(from), from.size(), to);
  return content;
}

void ExpectParts(const std::string& content) {
  const std::map<std::string, ZipEntry> entries = ReadZipDirectory(MemorySource(content));
  ASSERT_EQ(entries.size(), kParts.size());
  for (const ZipPart& part : kParts) {
    const ZipEntry& entry = entries.at(part.name);
    EXPECT_EQ(content.substr(static_cast<size_t>(entry.begin), static_cast<size_t>(entry.bytes)),
              part.content);
  }
}

TEST(ZipArchive, FindsEveryEntry) { ExpectParts(Zip(kParts)); }

TEST(ZipArchive, FindsEveryEntryByZip64Sizes) { ExpectParts(Zip(kParts, {.zip64 = true})); }

TEST(ZipArchive, SkipsAComment) {
  ExpectParts(Zip(kParts, {.comment = "with PK\x05\x06 and more than an end record holds"}));
}

TEST(ZipArchive, WhatTorchNeverWritesIsRefused) {
  EXPECT_THAT(ErrorOf(Zip({{.name = "a", .content = "x", .method = 8}})),
              HasSubstr("'a' is compressed"));
  EXPECT_THAT(ErrorOf(Zip({{.name = "a", .content = "x", .flags = 1}})),
              HasSubstr("'a' is encrypted"));
  EXPECT_THAT(ErrorOf(Zip({kParts[0], kParts[0]})), HasSubstr("'a' comes twice"));
  EXPECT_THAT(ErrorOf(Zip({{.name = "a\n\xff", .flags = 1}})), HasSubstr("'a?" "?'"));
}

TEST(ZipArchive, EntriesThatOverlapAreRefused) {
  const std::string good = Zip(kParts);
  // The last directory entry's header_at becomes the first's.
  const std::string entry = good.substr(good.rfind("PK\x01\x02"));
  std::string moved = entry;
  moved.replace(42, 4, Raw(uint32_t{0}));
  EXPECT_THAT(ErrorOf(With(good, entry, moved)), HasSubstr("overlap"));
}

TEST(ZipArchive, PlacesOutsideTheFileAreRefused) {
  const std::string good = Zip(kParts);
  const size_t entry = good.rfind("PK\x01\x02");
  const size_t end = good.rfind("PK\x05\x06");
  const auto changed = [&](size_t at, uint32_t value) {
    std::string bad = good;
    return bad.replace(at, 4, Raw(value));
  };
  for (const uint32_t value : {0xFFFFFFFEU, 0x7FFFFFFFU, static_cast<uint32_t>(good.size())}) {
    EXPECT_NE(ErrorOf(changed(entry + 42, value)), "") << "header at " << value;
    EXPECT_NE(ErrorOf(changed(end + 12, value)), "") << "directory of " << value;
    EXPECT_NE(ErrorOf(changed(end + 16, value)), "") << "directory at " << value;
    // Stored and unpacked sizes agree, and neither fits.
    std::string bad = changed(entry + 20, value);
    EXPECT_NE(ErrorOf(bad.replace(entry + 24, 4, Raw(value))), "") << "entry of " << value;
  }
  std::string counted = good;
  EXPECT_THAT(ErrorOf(counted.replace(end + 10, 2, Raw(uint16_t{7}))), HasSubstr("announced"));
}

TEST(ZipArchive, Zip64PlacesOutsideTheFileAreRefused) {
  const std::string good = Zip(kParts, {.zip64 = true});
  const size_t end64 = good.rfind("PK\x06\x06");
  const size_t entry = good.rfind("PK\x01\x02");
  for (const uint64_t value :
       {~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, uint64_t{good.size()}}) {
    // The directory's length and place, the locator's, and the entry's two sizes and place.
    for (const size_t at :
         {end64 + 40, end64 + 48, end64 + 56 + 8, entry + 59, entry + 67, entry + 75}) {
      std::string bad = good;
      EXPECT_NE(ErrorOf(bad.replace(at, 8, Raw(value))), "") << value << " at " << at;
    }
  }
}

TEST(ZipArchive, TruncationAtEveryByteIsAnError) {
  for (const bool zip64 : {false, true}) {
    const std::string good = Zip(kParts, {.zip64 = zip64});
    for (size_t length = 0; length < good.size(); ++length) {
      EXPECT_NE(ErrorOf(good.substr(0, length)), "") << length << " bytes";
    }
  }
}

TEST(ZipArchive, DamagedDirectoriesNeverCrash) {
  Rng rng(5);
  for (int round = 0; round < 20000; ++round) {
    std::string bad = Zip(kParts, {.zip64 = round % 2 == 0});
    for (uint64_t edits = 1 + rng.Below(4); edits > 0; --edits) {
      bad[rng.Below(bad.size())] = static_cast<char>(rng.Below(256));
    }
    const MemorySource source(bad);
    try {
      for (const auto& [name, entry] : ReadZipDirectory(source)) {
        EXPECT_GE(entry.begin, 0);
        EXPECT_GE(entry.bytes, 0);
        EXPECT_LE(entry.begin + entry.bytes, source.bytes());
      }
    } catch (const TrainError&) {
      // What most damage gives.
    }
  }
}

}  // namespace
}  // namespace mead::train
