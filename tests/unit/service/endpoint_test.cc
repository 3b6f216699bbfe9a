#include "coordinator/service/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(EndpointTest, HostsPortsAndBracketsAreRead) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:7070")->port, 7070);
  EXPECT_EQ(ParseEndpoint("[::1]:0")->host, "::1");
  EXPECT_EQ(EndpointText(*ParseEndpoint("[::1]:7070")), "[::1]:7070");
  for (const char* bad : {"", "host", "host:", ":80", "host:x", "host:70000", "::1:80", "h:-1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseEndpoint(bad).status())) << bad;
  }
}

TEST(EndpointTest, ATakenPortIsNamedWithTheFlagThatChangesIt) {
  const ScopedFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd.get(), 1), 0);
  ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int port = ntohs(address.sin_port);
  const absl::Status status = CheckCanListen({"127.0.0.1", port}, "--http");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(absl::StrCat(port)), HasSubstr("--http")));
  EXPECT_TRUE(CheckCanListen({"127.0.0.1", 0}, "--http").ok());
}

TEST(EndpointTest, AnAddressOfAnotherMachineIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(CheckCanListen({"192.0.2.1", 0}, "--listen")));
}

}  // namespace
}  // namespace mead::service
