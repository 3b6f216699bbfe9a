#include "worker/train/state/safetensors_checksums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "worker/train/errors.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SafetensorsChecksums : public ::testing::Test {
 protected:
  SafetensorsChecksums() {
    const std::vector<float> weights = {1.5F, -2, 3, 4, 5, 6};
    const std::vector<int64_t> count = {7};
    // A tensor without elements shares its place with the next.
    WriteSafetensors(path_,
                     {{.name = "w", .dtype = DType::kF32, .shape = {2, 3}, .data = weights.data()},
                      {.name = "none", .dtype = DType::kF32, .shape = {0}, .data = weights.data()},
                      {.name = "a", .dtype = DType::kF32, .shape = {1}, .data = weights.data()},
                      {.name = "n", .dtype = DType::kI64, .shape = {}, .data = count.data()}},
                     {{"epoch", "3"}, {kChecksumsKey, ""}});
    std::ifstream in(path_, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(in), {});
  }

  // What opening and reading all of a file of this content ends with; "" if well.
  std::string ErrorOf(const std::string& content) {
    const std::string path = dir_.Join("damaged");
    std::ofstream(path, std::ios::binary) << content;
    try {
      const SafetensorsFile file = SafetensorsFile::Open(path);
      std::vector<char> bytes(100);
      for (const auto& [name, info] : file.tensors()) file.Read(info, bytes.data());
    } catch (const TrainError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
      return error.what();
    }
    return "";
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.Join("whole");
  std::string content_;
};

TEST_F(SafetensorsChecksums, OfAWholeFileAreRight) {
  EXPECT_EQ(ErrorOf(content_), "");
  EXPECT_EQ(SafetensorsFile::Open(path_).tensors().at("none").crc32c, 0u);
}

TEST_F(SafetensorsChecksums, ADamagedTensorIsNamedWithItsPlace) {
  const SafetensorsFile file = SafetensorsFile::Open(path_);
  for (const char* name : {"w", "a", "n"}) {
    const int64_t begin = file.tensors().at(name).begin;
    std::string damaged = content_;
    damaged[static_cast<size_t>(begin)] ^= 0x10;
    EXPECT_THAT(ErrorOf(damaged), AllOf(HasSubstr("tensor '" + std::string(name) + "'"),
                                        HasSubstr("is damaged: it has another checksum"),
                                        HasSubstr("at byte " + std::to_string(begin))));
  }
}

TEST_F(SafetensorsChecksums, AnyFlippedBitIsNoticedUnlessItUnnamesThem) {
  int unnamed = 0;
  for (size_t byte = 0; byte < content_.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = content_;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      if (!ErrorOf(damaged).empty()) continue;
      // Then the reader takes it for a file without checksums: who needs them asks for the key.
      ++unnamed;
      EXPECT_FALSE(SafetensorsFile::Open(dir_.Join("damaged")).metadata().contains(kChecksumsKey));
    }
  }
  EXPECT_GT(unnamed, 0);
}

TEST_F(SafetensorsChecksums, ATruncatedFileIsRefusedAtAnyLength) {
  for (size_t size = 0; size < content_.size(); ++size) {
    EXPECT_NE(ErrorOf(content_.substr(0, size)), "") << size;
  }
}

}  // namespace
}  // namespace mead::train
