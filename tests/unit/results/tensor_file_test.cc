#include "common/results/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mead::results {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TensorFile, AHeaderSaysWhereTensorsLie) {
  const std::string header =
      MakeHeader({{"b", {"F32", {2, 3}, 0, 24}}, {"a", {"I64", {}, 0, 8}}}, {{"k", "v"}});
  EXPECT_EQ(header.size() % 8, 0u);
  ASSERT_EQ(*HeaderBytes(header), header.size() - 8);
  const auto file = ParseHeader(header.substr(8), header.size() + 32);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata.at("k"), "v");
  EXPECT_EQ(file->tensors.at("b").begin, header.size());
  EXPECT_THAT(file->tensors.at("b").shape, ElementsAre(2, 3));
  EXPECT_EQ(file->tensors.at("a").begin, header.size() + 24);
  EXPECT_EQ(file->tensors.at("a").bytes, 8u);
}

TEST(TensorFile, WhatIsNotSoundIsAnErrorInWords) {
  const auto error = [](const std::string& json, uint64_t data) {
    return std::string(ParseHeader(json, 8 + json.size() + data).status().message());
  };
  EXPECT_THAT(error("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("{\"a\":{}}", 0), HasSubstr("lacks its dtype"));
  EXPECT_THAT(error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7),
              HasSubstr("lies outside"));
  EXPECT_THAT(error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
              HasSubstr("lies outside"));
  EXPECT_THAT(error(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
              HasSubstr("not those of its shape"));
  EXPECT_THAT(error(R"({"a":{"dtype":"Q9","shape":[],"data_offsets":[0,1]}})", 8),
              HasSubstr("'Q9' is not known"));
  EXPECT_THAT(error(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 8),
              HasSubstr("not a whole number"));
  EXPECT_THAT(
      error(R"({"a":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8),
      HasSubstr("too large"));
  EXPECT_THAT(error("{\"__metadata__\":{\"a\":1}}", 0), HasSubstr("more than texts"));
}

TEST(TensorFile, AnEndlessHeaderIsRefusedBeforeItIsRead) {
  EXPECT_FALSE(HeaderBytes(std::string(8, '\xff')).ok());
  EXPECT_FALSE(HeaderBytes("short").ok());
}

}  // namespace
}  // namespace mead::results
