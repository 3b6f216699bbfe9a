#include "worker/agent/host.h"

#include <gtest/gtest.h>

namespace mead::agent {
namespace {

TEST(HostTest, TheAddressTowardsALoopbackCoordinatorIsLoopback) {
  EXPECT_EQ(LocalAddressTowards("127.0.0.1:7070").value(), "127.0.0.1");
  EXPECT_EQ(LocalAddressTowards("localhost:7070").value(), "127.0.0.1");
}

TEST(HostTest, AnAddressWithoutAPortIsWrongUsage) {
  for (const char* bad : {"", "host", "host:", ":7070"}) {
    EXPECT_EQ(LocalAddressTowards(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(HostTest, ThisMachineHasAtLeastOneCoreAndANamedDevice) {
  EXPECT_GE(UsableCores(), 1);
  EXPECT_FALSE(DeviceName(false).empty());
  const std::string name = DefaultWorkerName();
  EXPECT_FALSE(name.empty());
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-"), std::string::npos);
}

}  // namespace
}  // namespace mead::agent
