// SIGKILL in the middle of appends: what was acknowledged is there, whole.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/step.h"
#include "coordinator/store/codec.h"
#include "coordinator/store/store.h"
#include "tests/support/sample_events.h"
#include "tests/support/temp_dir.h"

namespace mead::store {
namespace {

constexpr char kTrial[] = "s0-0";

// Appends batch after batch from where the store stands, with one metric, one
// log line and the cursor of the batch's last event, and tells `acked` the
// number of events after each. Never returns.
[[noreturn]] void AppendForever(const std::filesystem::path& dir,
                                const std::vector<core::Event>& events, int acked) {
  auto store = Store::Open(dir);
  if (!store.ok()) _exit(1);
  auto state = (*store)->LoadState();
  if (!state.ok()) _exit(1);
  uint64_t done = (*store)->event_count();
  while (true) {
    std::vector<core::Event> batch;
    for (uint64_t i = 0; i < 1 + done % 5; ++i) {
      batch.push_back(events[(done + i) % events.size()]);
      (void)core::Step(*state, batch.back());
    }
    done += batch.size();
    Rows rows;
    rows.metrics.push_back({.trial_id = kTrial, .epoch = static_cast<int>(done), .name = "m"});
    rows.logs.push_back({.trial_id = kTrial, .text = std::to_string(done)});
    if (!(*store)->Append(batch, rows, {{"instance", done}}).ok()) _exit(1);
    if (write(acked, &done, sizeof(done)) != sizeof(done)) _exit(1);
    if (done % 7 == 0 && !(*store)->SaveSnapshot(*state).ok()) _exit(1);
  }
}

TEST(StoreKill, EveryAcknowledgedBatchSurvivesSigkill) {
  const testing::TempDir dir;
  const std::vector<core::Event> events = testing::ClusterLife(3);
  uint64_t last_acked = 0;
  for (int round = 0; round < 12; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipe_fds[0]);
      AppendForever(dir.path(), events, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    // Another moment each round: after so many acknowledgements, at once.
    uint64_t acked = 0;
    for (int i = 0; i < 3 + 4 * round; ++i) {
      ASSERT_EQ(read(pipe_fds[0], &acked, sizeof(acked)), static_cast<ssize_t>(sizeof(acked)));
      ASSERT_GT(acked, last_acked);
      last_acked = acked;
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    while (read(pipe_fds[0], &acked, sizeof(acked)) == sizeof(acked)) last_acked = acked;
    close(pipe_fds[0]);

    auto store = Store::Open(dir.path());
    ASSERT_TRUE(store.ok()) << store.status();
    const uint64_t count = (*store)->event_count();
    ASSERT_GE(count, last_acked);
    // A batch that was committed and not acknowledged may be there; never a part of one.
    ASSERT_EQ((*store)->LoadCursors().value(), (Cursors{{"instance", count}}));
    ASSERT_EQ((*store)->Metrics(kTrial, {}).value().back().epoch, static_cast<int>(count));
    ASSERT_EQ((*store)->Logs(kTrial, 0, 1 << 30).value().back().text, std::to_string(count));
    core::ClusterState expected;
    for (uint64_t i = 0; i < count; ++i) (void)core::Step(expected, events[i % events.size()]);
    ASSERT_EQ(EncodeState((*store)->LoadState().value()), EncodeState(expected));
    last_acked = count;
  }
}

}  // namespace
}  // namespace mead::store
