#include "coordinator/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <string>

#include "common/files.h"
#include "coordinator/store/codec.h"
#include "tests/support/sample_events.h"
#include "tests/support/temp_dir.h"

namespace mead::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Runs SQL on the file, as another program would.
void Sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
      << (error != nullptr ? error : "");
  sqlite3_free(error);
  sqlite3_close(db);
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

class SqliteStoreTest : public ::testing::Test {
 protected:
  absl::Status OpenStatus() { return SqliteStore::Open(dir_.path()).status(); }
  void MakeOne() {
    auto store = SqliteStore::Open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*store)->Append(testing::ClusterLife(1), {}, {}).ok());
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.Join("mead.db");
};

TEST_F(SqliteStoreTest, AFileOfSomethingElseIsNamedAndLeftAlone) {
  ASSERT_TRUE(WriteFileAtomically(path_, std::string(5000, 'z')).ok());
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr(path_));
  EXPECT_EQ(ReadFile(path_).value(), std::string(5000, 'z'));
}

TEST_F(SqliteStoreTest, AnotherProgramsDatabaseIsRefused) {
  Sql(path_, "CREATE TABLE bookmarks (url TEXT)");
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(MessageOf(status),
              AllOf(HasSubstr(path_), HasSubstr("another program"), HasSubstr("--dir")));
}

TEST_F(SqliteStoreTest, AJournalOfANewerVersionIsRefused) {
  MakeOne();
  Sql(path_, "PRAGMA user_version = 7");
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(MessageOf(status), AllOf(HasSubstr("newer"), HasSubstr("format 7")));
}

TEST_F(SqliteStoreTest, AJournalOfAnOlderVersionIsRefused) {
  MakeOne();
  Sql(path_, "PRAGMA user_version = 0");
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("older"));
}

TEST_F(SqliteStoreTest, TwoCoordinatorsNeverShareAFolder) {
  auto first = SqliteStore::Open(dir_.path());
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("process " + std::to_string(getpid())));
  first->reset();
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(SqliteStoreTest, AMissingEventIsDataLoss) {
  MakeOne();
  Sql(path_, "DELETE FROM events WHERE seq = 3");
  auto store = SqliteStore::Open(dir_.path());
  ASSERT_TRUE(store.ok());
  const absl::Status status = (*store)->LoadState().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("event 3"));
}

TEST_F(SqliteStoreTest, ADamagedSnapshotOnlyCostsTime) {
  MakeOne();
  std::string whole;
  {
    auto store = SqliteStore::Open(dir_.path());
    const core::ClusterState state = (*store)->LoadState().value();
    whole = EncodeState(state);
    ASSERT_TRUE((*store)->SaveSnapshot(state).ok());
  }
  Sql(path_, "UPDATE snapshots SET record = x'ffffff'");
  auto store = SqliteStore::Open(dir_.path());
  EXPECT_EQ(EncodeState((*store)->LoadState().value()), whole);
}

TEST_F(SqliteStoreTest, ADamagedFileIsDataLoss) {
  MakeOne();
  std::string bytes = ReadFile(path_).value();
  ASSERT_GT(bytes.size(), 12000u);
  for (size_t i = 4096; i < bytes.size(); ++i) bytes[i] = '\x5a';
  ASSERT_TRUE(WriteFileAtomically(path_, bytes).ok());
  auto store = SqliteStore::Open(dir_.path());
  const absl::Status status = store.ok() ? (*store)->LoadState().status() : store.status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("backup"));
}

// Runs in a process of its own, which mounts a small disk over the folder.
// Exit status: 0 as it should be, 77 no disk could be mounted, else what was wrong.
int FillTheDisk(const std::filesystem::path& dir) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
  if (mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=1m") != 0) return 77;
  auto store = SqliteStore::Open(dir);
  if (!store.ok()) return 1;
  if (!WriteFileAtomically(dir / "ballast", std::string(300'000, 'b')).ok()) return 1;
  Rows rows;
  rows.logs.push_back({.trial_id = "s-0", .text = std::string(5'000, 'l')});
  const std::vector<core::Event> event(1);
  uint64_t acked = 0;
  absl::Status status;
  while ((status = (*store)->Append(event, rows, {})).ok()) ++acked;
  std::cerr << status << std::endl;
  if (!absl::IsResourceExhausted(status)) return 2;
  if (MessageOf(status).find("free disk space") == std::string::npos) return 3;
  if (acked == 0 || (*store)->event_count() != acked) return 4;
  // Queries go on; with room again, so do appends, in the same process.
  if ((*store)->Logs("s-0", 0, 1'000'000)->size() != acked) return 5;
  std::filesystem::remove(dir / "ballast");
  if (!(*store)->Append(event, rows, {}).ok()) return 6;
  store->reset();
  store = SqliteStore::Open(dir);
  if (!store.ok() || !(*store)->LoadState().ok()) return 7;
  return (*store)->event_count() == acked + 1 ? 0 : 8;
}

TEST_F(SqliteStoreTest, AFullDiskIsSaidAndNothingIsCorrupted) {
  const pid_t child = fork();
  if (child == 0) _exit(FillTheDisk(dir_.path()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "NO SMALL DISK CAN BE MOUNTED HERE";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SqliteStoreTest, NotANumberIsAValueLikeAnyOther) {
  auto store = SqliteStore::Open(dir_.path());
  Rows rows;
  rows.metrics.push_back({.trial_id = "s-0", .epoch = 1, .name = "val/loss", .value = NAN});
  ASSERT_TRUE((*store)->Append({}, rows, {}).ok());
  const std::vector<MetricRow> read = (*store)->Metrics("s-0", {}).value();
  ASSERT_EQ(read.size(), 1u);
  EXPECT_TRUE(std::isnan(read[0].value));
}

TEST_F(SqliteStoreTest, ATrialThatCannotStopTalkingKeepsItsNewestLines) {
  auto store = SqliteStore::Open(dir_.path());
  Rows quiet;
  quiet.logs.push_back({.trial_id = "quiet", .text = "once"});
  ASSERT_TRUE((*store)->Append({}, quiet, {}).ok());
  constexpr int64_t kLines = SqliteStore::kLogLinesKept + 3 * SqliteStore::kLogLinesPerPruning;
  for (int64_t line = 0; line < kLines;) {
    Rows rows;
    for (int i = 0; i < 1000; ++i) {
      rows.logs.push_back({.trial_id = "loud", .text = std::to_string(line++)});
    }
    ASSERT_TRUE((*store)->Append({}, rows, {}).ok());
  }
  const std::vector<LogRow> kept = (*store)->Logs("loud", 0, 1'000'000).value();
  EXPECT_EQ(kept.size(), static_cast<size_t>(SqliteStore::kLogLinesKept));
  EXPECT_EQ(kept.back().text, std::to_string(kLines - 1));
  EXPECT_EQ((*store)->Logs("quiet", 0, 10)->size(), 1u);
}

TEST_F(SqliteStoreTest, KeepsTwoSnapshotsAtMost) {
  auto store = SqliteStore::Open(dir_.path());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE((*store)->Append(std::vector<core::Event>(1), {}, {}).ok());
    ASSERT_TRUE((*store)->SaveSnapshot((*store)->LoadState().value()).ok());
    EXPECT_EQ((*store)->events_since_snapshot(), 0u);
  }
  store->reset();
  SqliteDb db;
  ASSERT_TRUE(db.Open(path_).ok());
  EXPECT_EQ(db.QueryInt("SELECT count(*) FROM snapshots").value(), 2);
  EXPECT_EQ(db.QueryInt("SELECT max(seq) FROM snapshots").value(), 5);
}

}  // namespace
}  // namespace mead::store
