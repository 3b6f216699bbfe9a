#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/version.h"
#include "coordinator/service/worker_service.h"

namespace mead::service {
namespace {

using ::testing::HasSubstr;

v1::RegisterWorker Sound() {
  v1::RegisterWorker registration;
  registration.set_worker_id("gpu-node-1.pool");
  registration.set_instance_id("x");
  registration.set_protocol_version(kProtocolVersion);
  registration.set_slots(8);
  registration.set_accelerator("gpu");
  return registration;
}

TEST(WorkerRegistrationTest, ASoundOneIsTaken) {
  EXPECT_TRUE(ValidateRegistration(Sound()).ok());
}

TEST(WorkerRegistrationTest, BadNamesSlotsAndKindsAreRefused) {
  for (const char* name : {"", "Upper", "under_score", "a/b"}) {
    v1::RegisterWorker registration = Sound();
    registration.set_worker_id(name);
    EXPECT_TRUE(absl::IsInvalidArgument(ValidateRegistration(registration))) << name;
  }
  v1::RegisterWorker registration = Sound();
  registration.set_slots(0);
  EXPECT_TRUE(absl::IsInvalidArgument(ValidateRegistration(registration)));
  registration = Sound();
  registration.set_accelerator("tpu");
  EXPECT_TRUE(absl::IsInvalidArgument(ValidateRegistration(registration)));
}

TEST(WorkerRegistrationTest, AnotherProtocolSaysWhichSideIsOlder) {
  v1::RegisterWorker registration = Sound();
  registration.set_protocol_version(kProtocolVersion - 1);
  const absl::Status status = ValidateRegistration(registration);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("upgrade the worker"));
}

}  // namespace
}  // namespace mead::service
