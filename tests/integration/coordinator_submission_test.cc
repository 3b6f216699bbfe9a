// What a submission is answered.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/coordinator_fixture.h"
#include "tests/integration/fake_worker.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using testing::FakeWorker;
using ::testing::HasSubstr;

TEST_F(CoordinatorTest, ASubmissionIsIdempotentByItsRequestId) {
  ImportTinySet();
  v1::SubmitSweepRequest request;
  *request.mutable_spec() = SpecOfTwoTrials();
  request.set_request_id("once");
  request.set_wait_for_resources(true);
  v1::Sweep first, second;
  ASSERT_TRUE(Submit(request, &first).ok());
  ASSERT_TRUE(Submit(request, &second).ok());
  EXPECT_EQ(first.id(), second.id());
  request.set_dry_run(true);
  v1::Sweep preview;
  ASSERT_TRUE(Submit(request, &preview).ok());
  EXPECT_EQ(preview.id(), "");
  EXPECT_EQ(preview.trials_total(), 2);
  EXPECT_EQ(preview.spec().train().image_size(), 224) << "defaults are shown";
}

TEST_F(CoordinatorTest, EveryViolationIsReportedAtOnceWithItsField) {
  v1::SweepSpec spec;
  spec.set_name("bad");
  spec.set_dataset("tinny");
  spec.mutable_search()->set_method("tpe");
  spec.mutable_train()->set_batch_size(0);
  const grpc::Status status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::ValidationReport report;
  ASSERT_TRUE(report.ParseFromString(status.error_details()));
  std::vector<std::string> fields;
  for (const v1::Violation& violation : report.violations()) fields.push_back(violation.field());
  EXPECT_THAT(fields,
              ::testing::UnorderedElementsAre("dataset", "search.method", "train.batch_size"));
}

TEST_F(CoordinatorTest, ADryRunCountsOnWeightsThatAreYetToBeUploaded) {
  ImportTinySet();
  v1::SubmitSweepRequest request;
  *request.mutable_spec() = SpecOfTwoTrials();
  request.mutable_spec()->mutable_train()->clear_epochs();
  request.mutable_spec()->mutable_train()->set_weights("resnet50.pth");
  request.mutable_spec()->mutable_train()->set_defaults("kvasir");
  request.set_wait_for_resources(true);
  const grpc::Status status = Submit(request, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("has not been uploaded"));
  request.set_dry_run(true);
  v1::Sweep preview;
  ASSERT_TRUE(Submit(request, &preview).ok());
  EXPECT_EQ(preview.spec().train().weights(), "resnet50.pth");
  ASSERT_EQ(preview.spec().train().phases_size(), 2);
  EXPECT_EQ(preview.spec().train().phases(0).freeze(), "body");
}

TEST_F(CoordinatorTest, AnUnknownDataSetNamesNearOnesAndTooManyRanksSayHowManySlotsThereAre) {
  ImportTinySet();
  v1::SweepSpec spec = SpecOfTwoTrials();
  spec.set_dataset("tinny");
  grpc::Status status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("did you mean tiny?"));

  FakeWorker worker(Connect(), {.slots = 1});
  ASSERT_TRUE(worker.WaitRegistered());
  status = Submit(SpecOfTwoTrials(), nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("needs 2"), HasSubstr("has 1 slot"),
                                            HasSubstr("--wait-for-resources")));
}

}  // namespace
}  // namespace mead::service
