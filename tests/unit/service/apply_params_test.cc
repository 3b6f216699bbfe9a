#include "coordinator/service/apply_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mead::service {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const core::Param& param) {
  v1::TrainConfig config;
  const absl::Status status = ApplyParam(config, param);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ApplyParamsTest, PathsReachNestedFieldsOfEveryType) {
  v1::TrainConfig config;
  const std::vector<core::Param> params = {
      {"optimizer.lr", 0.5},          {"batch_size", int64_t{32}},
      {"optimizer.name", std::string("adamw")}, {"optimizer.nesterov", true},
      {"seed", int64_t{9}},           {"augment.rotate", 15.0}};
  ASSERT_TRUE(ApplyParams(config, params).ok());
  EXPECT_DOUBLE_EQ(config.optimizer().lr(), 0.5);
  EXPECT_EQ(config.batch_size(), 32);
  EXPECT_EQ(config.optimizer().name(), "adamw");
  EXPECT_TRUE(config.optimizer().nesterov());
  EXPECT_EQ(config.seed(), 9u);
  EXPECT_DOUBLE_EQ(config.augment().rotate(), 15);
}

TEST(ApplyParamsTest, WholeNumbersAndNumbersWithoutFractionAreOneThing) {
  v1::TrainConfig config;
  ASSERT_TRUE(ApplyParam(config, {"batch_size", 32.0}).ok());
  EXPECT_EQ(config.batch_size(), 32);
  ASSERT_TRUE(ApplyParam(config, {"optimizer.lr", int64_t{1}}).ok());
  EXPECT_DOUBLE_EQ(config.optimizer().lr(), 1);
}

TEST(ApplyParamsTest, AWrongTypeIsRefusedAndNothingChanges) {
  EXPECT_THAT(Refusal({"batch_size", 32.5}), HasSubstr("a whole number, not 32.5"));
  EXPECT_THAT(Refusal({"batch_size", std::string("big")}), HasSubstr("not 'big'"));
  EXPECT_THAT(Refusal({"seed", int64_t{-1}}), HasSubstr("from 0"));
  EXPECT_THAT(Refusal({"batch_size", int64_t{1} << 40}), HasSubstr("a whole number"));
  EXPECT_THAT(Refusal({"model", 50.0}), HasSubstr("a word"));
}

TEST(ApplyParamsTest, AnUnknownPathNamesANearOne) {
  EXPECT_THAT(Refusal({"optimizer.lrr", 0.1}), HasSubstr("did you mean optimizer.lr"));
}

TEST(ApplyParamsTest, WhatAllTrialsShareCannotBeSearched) {
  EXPECT_THAT(Refusal({"epochs", int64_t{5}}), HasSubstr("set it under train"));
  EXPECT_EQ(FindSearchableField("weights_artifact"), nullptr);
  EXPECT_EQ(FindSearchableField("virtual_ranks"), nullptr);
  EXPECT_EQ(FindSearchableField("gradients_on_wire"), nullptr);
  EXPECT_EQ(FindSearchableField("checkpoint.every_steps"), nullptr);
  EXPECT_EQ(FindSearchableField("phases"), nullptr);
}

}  // namespace
}  // namespace mead::service
