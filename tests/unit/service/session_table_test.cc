#include "coordinator/service/session_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace mead::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RecordingLink : public WorkerLink {
 public:
  void Send(v1::SessionResponse message) override {
    if (message.has_registered()) said.push_back("registered");
    if (message.has_go()) said.push_back("go " + message.go().rendezvous());
    if (message.has_fenced()) said.push_back("fenced");
  }
  void End(absl::Status status) override { ended = std::move(status); }

  std::vector<std::string> said;
  std::optional<absl::Status> ended;
};

core::StartMember Go(uint64_t incarnation, const char* rendezvous) {
  return {{"w", incarnation}, {"t", 1}, 0, rendezvous};
}
v1::SessionResponse Registered() {
  v1::SessionResponse message;
  message.mutable_registered();
  return message;
}

TEST(SessionTableTest, CommandsWaitUntilTheRegistrationIsDurable) {
  SessionTable table;
  const auto link = std::make_shared<RecordingLink>();
  table.Attach("w", link);
  table.Deliver(Go(1, "stale"), {});
  table.Deliver(Go(2, "mine"), {});
  EXPECT_THAT(link->said, IsEmpty());
  table.Bind({"w", 2}, link, Registered());
  EXPECT_THAT(link->said, ElementsAre("registered", "go mine"));
  EXPECT_TRUE(table.IsConnected({"w", 2}));
  EXPECT_FALSE(table.IsConnected({"w", 1}));
}

TEST(SessionTableTest, ANewerStreamEndsTheOlderOne) {
  SessionTable table;
  const auto old = std::make_shared<RecordingLink>();
  const auto fresh = std::make_shared<RecordingLink>();
  table.Attach("w", old);
  table.Bind({"w", 1}, old, Registered());
  table.Attach("w", fresh);
  table.Bind({"w", 1}, fresh, Registered());
  ASSERT_TRUE(old->ended.has_value());
  EXPECT_TRUE(absl::IsAborted(*old->ended));
  table.Deliver(Go(1, "x"), {});
  EXPECT_THAT(old->said, ElementsAre("registered", "fenced"));
  EXPECT_THAT(fresh->said, ElementsAre("registered", "go x"));
}

TEST(SessionTableTest, AFenceEndsOnlyTheIncarnationThatItNames) {
  SessionTable table;
  const auto link = std::make_shared<RecordingLink>();
  table.Attach("w", link);
  table.Bind({"w", 2}, link, Registered());
  table.Deliver(core::FenceWorker{{"w", 1}, "old"}, {});
  EXPECT_FALSE(link->ended.has_value());
  table.Deliver(core::FenceWorker{{"w", 2}, "lease"}, {});
  EXPECT_THAT(link->said, ElementsAre("registered", "fenced"));
  EXPECT_TRUE(link->ended.has_value());
  EXPECT_FALSE(table.IsConnected({"w", 2}));
}

TEST(SessionTableTest, ADetachedStreamGetsNothingMore) {
  SessionTable table;
  const auto link = std::make_shared<RecordingLink>();
  table.Attach("w", link);
  table.Bind({"w", 1}, link, Registered());
  table.Detach(*link);
  table.Deliver(Go(1, "x"), {});
  EXPECT_THAT(link->said, ElementsAre("registered"));
}

}  // namespace
}  // namespace mead::service
