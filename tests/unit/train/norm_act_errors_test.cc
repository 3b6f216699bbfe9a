// What the fused batch-norm refuses, and in what words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/unit/train/norm_act_problem.h"
#include "worker/train/ops/norm_act.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

TrainError ErrorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const TrainError& error) {
    return error;
  }
  ADD_FAILURE() << "no TrainError";
  return {ErrorKind::kUserError, ""};
}

TEST(NormActErrors, AnotherShapeIsNamedNextToTheExpectedOne) {
  const Inputs in = MakeInputs(Op::kNorm, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  const std::vector<std::vector<int64_t>> shapes = {
      {2, 24, 3, 5}, {2, 16, 15}, {2, 0, 3, 5}, {0, 16, 3, 5}};
  for (const std::vector<int64_t>& shape : shapes) {
    for (const Op op : kOps) {
      Inputs bad = in;
      bad.x = at::zeros(shape);
      const TrainError error = ErrorOf([&] { Fused(op, bad, NormStatistics::kBatch); });
      EXPECT_EQ(error.kind(), ErrorKind::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("[N, C, H, W] with C a multiple of 16"));
      EXPECT_THAT(error.what(), HasSubstr(c10::str(at::IntArrayRef(shape))));
    }
  }
}

TEST(NormActErrors, ATypeWithoutPassesIsNamedNextToTheExpectedOnes) {
  for (const at::ScalarType type : {at::kInt, at::kByte, at::kHalf}) {
    for (const Op op : kOps) {
      Inputs bad = MakeInputs(op, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
      bad.x = bad.x.to(type);
      bad.residual = bad.residual.to(type);
      const TrainError error = ErrorOf([&] { Fused(op, bad, NormStatistics::kBatch); });
      EXPECT_EQ(error.kind(), ErrorKind::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("float32, bfloat16 or float64"));
      EXPECT_THAT(error.what(), HasSubstr(at::toString(type)));
    }
  }
}

TEST(NormActErrors, AResidualUnlikeXIsRefused) {
  const Inputs in =
      MakeInputs(Op::kNormAddRelu, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  for (const at::Tensor& residual :
       {at::zeros({2, 16, 1, 1}), at::zeros({2, 16, 3, 5}, at::dtype(at::kBFloat16)),
        at::zeros({2, 32, 3, 5})}) {
    const TrainError error =
        ErrorOf([&] { NormAddRelu(in.x, in.norm, NormStatistics::kBatch, residual); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("residual"));
    EXPECT_THAT(error.what(), HasSubstr(c10::str(residual.sizes())));
  }
}

TEST(NormActErrors, ALayerOfAnotherWidthOrTypeIsRefused) {
  const Inputs in = MakeInputs(Op::kNorm, {2, 32, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  const Inputs narrow = MakeInputs(Op::kNorm, {2, 16, 3, 5}, NormStatistics::kBatch);
  for (const BatchNorm& norm : {narrow.As(at::kFloat).norm, in.As(at::kDouble).norm}) {
    const TrainError error =
        ErrorOf([&] { NormAct(in.x, norm, NormStatistics::kBatch, Activation::kRelu); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("expected [32] of Float"));
  }
}

}  // namespace
}  // namespace mead::train
