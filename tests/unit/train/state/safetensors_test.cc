#include "worker/train/state/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/temp_dir.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Safetensors : public ::testing::Test {
 protected:
  // A file of a header and `data_bytes` zeros.
  std::string Write(const std::string& header, size_t data_bytes) {
    std::string content(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(content.data(), &length, 8);
    content += header + std::string(data_bytes, '\0');
    return WriteRaw(content);
  }
  std::string WriteRaw(const std::string& content) {
    const std::string path = dir_.Join("bad.safetensors");
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static std::string ErrorOf(const std::string& path) {
    try {
      SafetensorsFile::Open(path);
    } catch (const TrainError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUserError);
      EXPECT_THAT(error.what(), HasSubstr(path));
      return error.what();
    }
    return "";
  }

  testing::TempDir dir_;
};

TEST_F(Safetensors, RoundTripKeepsTensorsAndMetadata) {
  const std::vector<float> weights = {1.5F, -2, 3, 4, 5, 6};
  const std::vector<int64_t> count = {7};
  const std::string path = dir_.Join("a.safetensors");
  WriteSafetensors(path,
                   {{.name = "w", .dtype = DType::kF32, .shape = {2, 3}, .data = weights.data()},
                    {.name = "n", .dtype = DType::kI64, .shape = {}, .data = count.data()}},
                   {{"quote\"and\\", "line\nbreak \x01 æ"}});
  const SafetensorsFile file = SafetensorsFile::Open(path);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.metadata().at("quote\"and\\"), "line\nbreak \x01 æ");
  const TensorInfo& info = file.tensors().at("w");
  EXPECT_EQ(info.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(info.begin % 4, 0);
  EXPECT_EQ(file.tensors().at("n").begin % 8, 0);
  std::vector<float> read(6);
  file.Read(info, read.data());
  EXPECT_EQ(read, weights);
}

TEST_F(Safetensors, FailedWriteLeavesTheOldFileAndNoOther) {
  const std::string path = dir_.Join("a.safetensors");
  WriteSafetensors(path, {}, {{"version", "old"}});
  EXPECT_THROW(WriteSafetensors(dir_.Join("none/a.safetensors"), {}, {}), TrainError);
  EXPECT_EQ(SafetensorsFile::Open(path).metadata().at("version"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

TEST_F(Safetensors, TruncationAtEveryByteIsAnError) {
  const std::vector<float> weights(5, 1.0F);
  const std::string path = dir_.Join("a.safetensors");
  WriteSafetensors(path,
                   {{.name = "w", .dtype = DType::kF32, .shape = {5}, .data = weights.data()}}, {});
  std::ifstream in(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(in)), {});
  for (size_t length = 0; length < content.size(); ++length) {
    EXPECT_NE(ErrorOf(WriteRaw(content.substr(0, length))), "") << length << " bytes";
  }
}

TEST_F(Safetensors, EveryViolationNamesTheFileAndTheByte) {
  const std::string one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const struct {
    std::string header;
    size_t data_bytes;
    std::string message;
  } cases[] = {
      {one + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12,
       "tensor 'b' overlaps the one before it"},
      {one + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16, "a gap before"},
      {one + "}", 12, "bytes that belong to no tensor"},
      {one + "}", 4, "truncated"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "needs 12 bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "not [begin, end]"},
      {R"({"a":{"dtype":"F7","shape":[2],"data_offsets":[0,8]}})", 8, "unknown dtype 'F7'"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "not negative"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}})", 8,
       "too large"},
      {R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}})", 8,
       "expected an integer"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8, "lacks dtype, shape or data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":[]}})", 8, "field 'x'"},
      {one + R"(,"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})", 8, "'a' comes twice"},
      {one, 8, "expected '}'"},
      {one + "}x", 8, "text after"},
      {" {}", 0, "does not begin with '{'"},
      {R"({"a\ud800":1})", 0, "unpaired surrogate"},
      {R"({"a)", 0, "ends within a string"},
      {R"({"__metadata__":{"k":3}})", 0, "expected '\"'"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ErrorOf(Write(c.header, c.data_bytes)),
                AllOf(HasSubstr(c.message), HasSubstr("byte")))
        << c.header;
  }
}

TEST_F(Safetensors, HeaderLengthBeyondTheFileIsAnError) {
  EXPECT_THAT(ErrorOf(WriteRaw(std::string(8, '\xff') + "{}")), HasSubstr("names a header of"));
  EXPECT_THAT(ErrorOf(WriteRaw("short")), HasSubstr("needs at least 8"));
  EXPECT_THAT(ErrorOf(dir_.Join("nothing.safetensors")), HasSubstr("cannot be opened"));
  EXPECT_THAT(ErrorOf(dir_.path().string()), HasSubstr("not a regular file"));
}

TEST_F(Safetensors, DamagedHeadersNeverCrash) {
  const std::string good =
      R"({"__metadata__":{"k":"v\u00e6"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  Rng rng(11);
  for (int round = 0; round < 20000; ++round) {
    std::string bad = good;
    for (uint64_t edits = 1 + rng.Below(3); edits > 0; --edits) {
      bad[rng.Below(bad.size())] = static_cast<char>(rng.Below(256));
    }
    try {
      const SafetensorsHeader header = ParseSafetensorsHeader(bad, 8, 16, "f");
      for (const auto& [name, info] : header.tensors) {
        EXPECT_GE(info.begin, 8);
        EXPECT_LE(info.begin + info.bytes, 16);
      }
    } catch (const TrainError&) {
      // What most damage gives.
    }
  }
}

}  // namespace
}  // namespace mead::train
