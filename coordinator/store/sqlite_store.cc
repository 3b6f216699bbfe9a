#include "coordinator/store/sqlite_store.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/core/step.h"
#include "coordinator/store/codec.h"
#include "mead/v1/sweep.pb.h"

namespace mead::store {
namespace {

// Texts are stored as blobs: they come back as they went in, whatever they hold.
constexpr char kSchema[] = R"sql(
CREATE TABLE events (seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE metrics (
  trial_id TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL,
  attempt INTEGER NOT NULL, time_micros INTEGER NOT NULL, value REAL,  -- NULL: not a number
  PRIMARY KEY (trial_id, epoch, step, name)) WITHOUT ROWID;
CREATE TABLE confusion (
  trial_id TEXT NOT NULL, epoch INTEGER NOT NULL, attempt INTEGER NOT NULL,
  record BLOB NOT NULL,  -- mead.v1.ConfusionMatrix
  PRIMARY KEY (trial_id, epoch)) WITHOUT ROWID;
CREATE TABLE logs (
  id INTEGER PRIMARY KEY, trial_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  rank INTEGER NOT NULL, time_micros INTEGER NOT NULL, text BLOB NOT NULL);
CREATE INDEX logs_of_trial ON logs (trial_id, id);
CREATE TABLE report_cursors (
  instance_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
)sql";

constexpr int kSnapshotsKept = 2;

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& dir) {
  return SqliteStore::Open(dir);
}

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::filesystem::path& dir) {
  MEAD_RETURN_IF_ERROR(MakeDirs(dir));
  MEAD_ASSIGN_OR_RETURN(DirLock lock, DirLock::Acquire(dir));
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(lock)));
  const std::filesystem::path path = dir / "mead.db";
  MEAD_RETURN_IF_ERROR(store->writer_.Open(path));
  MEAD_RETURN_IF_ERROR(store->CheckOrMakeSchema(path));
  // The file's own name in the folder; SQLite syncs only what is inside it.
  MEAD_RETURN_IF_ERROR(SyncDir(dir));
  MEAD_RETURN_IF_ERROR(store->PrepareStatements());
  {
    absl::MutexLock hold(&store->reader_mu_);
    MEAD_RETURN_IF_ERROR(store->reader_.Open(path));
    MEAD_RETURN_IF_ERROR(store->reader_.Execute("PRAGMA query_only = ON"));
  }
  MEAD_ASSIGN_OR_RETURN(const int64_t events,
                        store->writer_.QueryInt("SELECT coalesce(max(seq), 0) FROM events"));
  MEAD_ASSIGN_OR_RETURN(const int64_t snapshot,
                        store->writer_.QueryInt("SELECT coalesce(max(seq), 0) FROM snapshots"));
  store->event_count_ = static_cast<uint64_t>(events);
  store->snapshot_at_ = static_cast<uint64_t>(std::min(snapshot, events));
  return store;
}

absl::Status SqliteStore::CheckOrMakeSchema(const std::filesystem::path& path) {
  MEAD_ASSIGN_OR_RETURN(const int64_t application, writer_.QueryInt("PRAGMA application_id"));
  MEAD_ASSIGN_OR_RETURN(const int64_t format, writer_.QueryInt("PRAGMA user_version"));
  MEAD_ASSIGN_OR_RETURN(const int64_t tables,
                        writer_.QueryInt("SELECT count(*) FROM sqlite_master"));
  const bool is_new = application == 0 && format == 0 && tables == 0;
  if (!is_new && application != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(path.string(), " belongs to another program (application id ", application,
                     "), it is not Mead's journal; move it away or choose another --dir"));
  }
  if (!is_new && format > kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        path.string(), " was written by a newer mead-coordinator (journal format ", format,
        ", this one knows up to ", kFormat, "); start that version, or choose another --dir"));
  }
  if (!is_new && format < kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path.string(), " was written by an older mead-coordinator (journal format ",
                     format, ", this one needs ", kFormat,
                     "); end its work with that version, or choose another --dir"));
  }
  // Before anything is written: the mode is kept in the file.
  MEAD_RETURN_IF_ERROR(writer_.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
  if (!is_new) return absl::OkStatus();
  // One transaction: a crash leaves an empty file or a whole schema.
  return writer_.Execute(absl::StrCat("BEGIN; PRAGMA application_id = ", kApplicationId,
                                      "; PRAGMA user_version = ", kFormat, ";", kSchema, "COMMIT"));
}

absl::Status SqliteStore::PrepareStatements() {
  const std::pair<SqliteStatement*, std::string_view> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&insert_event_, "INSERT INTO events (seq, record) VALUES (?1, ?2)"},
      {&insert_metric_,
       "INSERT OR REPLACE INTO metrics (trial_id, epoch, step, name, attempt, time_micros, value) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&insert_confusion_,
       "INSERT OR REPLACE INTO confusion (trial_id, epoch, attempt, record) "
       "VALUES (?1, ?2, ?3, ?4)"},
      {&insert_log_,
       "INSERT INTO logs (trial_id, attempt, rank, time_micros, text) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&prune_logs_,
       "DELETE FROM logs WHERE trial_id = ?1 AND id <= "
       "(SELECT id FROM logs WHERE trial_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"},
      {&set_cursor_,
       "INSERT OR REPLACE INTO report_cursors (instance_id, sequence) VALUES (?1, ?2)"},
      {&drop_cursor_, "DELETE FROM report_cursors WHERE instance_id = ?1"},
  };
  for (const auto& [statement, sql] : statements) {
    MEAD_ASSIGN_OR_RETURN(*statement, writer_.Prepare(sql));
  }
  return absl::OkStatus();
}

absl::StatusOr<core::ClusterState> SqliteStore::LoadState() {
  MEAD_ASSIGN_OR_RETURN(
      SqliteStatement select,
      writer_.Prepare("SELECT seq, record FROM snapshots WHERE seq <= ?1 ORDER BY seq DESC"));
  select.BindInt(1, static_cast<int64_t>(event_count()));
  while (true) {
    MEAD_ASSIGN_OR_RETURN(const bool row, select.Step());
    core::ClusterState state;
    int64_t seq = 0;
    if (row) {
      seq = select.Int(0);
      absl::StatusOr<core::ClusterState> decoded = DecodeState(select.Bytes(1));
      if (!decoded.ok()) {
        // The journal holds everything; a snapshot only saves time.
        Log(LogLevel::kWarning,
            absl::StrCat("snapshot ", seq, " cannot be used: ",
                         std::string(decoded.status().message()), "; going back further"));
        continue;
      }
      state = *std::move(decoded);
    }
    MEAD_RETURN_IF_ERROR(Replay(seq, state));
    snapshot_at_ = static_cast<uint64_t>(seq);
    return state;
  }
}

absl::Status SqliteStore::Replay(int64_t after, core::ClusterState& state) {
  MEAD_ASSIGN_OR_RETURN(
      SqliteStatement select,
      writer_.Prepare("SELECT seq, record FROM events WHERE seq > ?1 ORDER BY seq"));
  select.BindInt(1, after);
  for (int64_t expected = after + 1;; ++expected) {
    MEAD_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return absl::OkStatus();
    const int64_t seq = select.Int(0);
    if (seq != expected) {
      return absl::DataLossError(absl::StrCat("the journal lacks event ", expected,
                                              ": the file is damaged; put a backup in its place"));
    }
    absl::StatusOr<core::Event> event = DecodeEvent(select.Bytes(1));
    if (!event.ok()) return Annotate(event.status(), absl::StrCat("event ", seq));
    // What was to be done then has been done, or is asked for again by the
    // workers when they come back.
    (void)core::Step(state, *event);
  }
}

absl::StatusOr<Cursors> SqliteStore::LoadCursors() {
  MEAD_ASSIGN_OR_RETURN(SqliteStatement select,
                        writer_.Prepare("SELECT instance_id, sequence FROM report_cursors"));
  Cursors cursors;
  while (true) {
    MEAD_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return cursors;
    cursors[select.Bytes(0)] = static_cast<uint64_t>(select.Int(1));
  }
}

absl::Status SqliteStore::Append(std::span<const core::Event> events, const Rows& rows,
                                 const Cursors& cursors) {
  MEAD_RETURN_IF_ERROR(begin_.Run());
  absl::Status status = AppendAll(events, rows, cursors);
  if (status.ok()) status = commit_.Run();
  if (!status.ok()) {
    // SQLite may have rolled back by itself (full disk); then this fails, rightly.
    (void)rollback_.Run();
    return status;
  }
  event_count_ += events.size();
  return absl::OkStatus();
}

absl::Status SqliteStore::AppendAll(std::span<const core::Event> events, const Rows& rows,
                                    const Cursors& cursors) {
  int64_t seq = static_cast<int64_t>(event_count());
  for (const core::Event& event : events) {
    const std::string record = EncodeEvent(event);
    MEAD_RETURN_IF_ERROR(insert_event_.BindInt(1, ++seq).BindBlob(2, record).Run());
  }
  for (const MetricRow& row : rows.metrics) {
    insert_metric_.BindText(1, row.trial_id).BindInt(2, row.epoch).BindInt(3, row.step);
    insert_metric_.BindText(4, row.name).BindInt(5, row.attempt).BindInt(6, row.time_micros);
    MEAD_RETURN_IF_ERROR(insert_metric_.BindDouble(7, row.value).Run());
  }
  for (const ConfusionRow& row : rows.confusion) {
    v1::ConfusionMatrix matrix;
    matrix.mutable_classes()->Add(row.classes.begin(), row.classes.end());
    matrix.mutable_counts()->Add(row.counts.begin(), row.counts.end());
    const std::string record = matrix.SerializeAsString();
    insert_confusion_.BindText(1, row.trial_id).BindInt(2, row.epoch).BindInt(3, row.attempt);
    MEAD_RETURN_IF_ERROR(insert_confusion_.BindBlob(4, record).Run());
  }
  MEAD_RETURN_IF_ERROR(AppendLogs(rows.logs));
  for (const auto& [instance_id, sequence] : cursors) {
    if (sequence == 0) {
      MEAD_RETURN_IF_ERROR(drop_cursor_.BindText(1, instance_id).Run());
    } else {
      set_cursor_.BindText(1, instance_id).BindInt(2, static_cast<int64_t>(sequence));
      MEAD_RETURN_IF_ERROR(set_cursor_.Run());
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::AppendLogs(const std::vector<LogRow>& logs) {
  for (const LogRow& row : logs) {
    insert_log_.BindText(1, row.trial_id).BindInt(2, row.attempt).BindInt(3, row.rank);
    MEAD_RETURN_IF_ERROR(insert_log_.BindInt(4, row.time_micros).BindBlob(5, row.text).Run());
    int64_t& lines = lines_since_pruning_[row.trial_id];
    if (++lines < kLogLinesPerPruning) continue;
    lines = 0;
    MEAD_RETURN_IF_ERROR(prune_logs_.BindText(1, row.trial_id).BindInt(2, kLogLinesKept).Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::SaveSnapshot(const core::ClusterState& state) {
  const std::string record = EncodeState(state);
  const int64_t seq = static_cast<int64_t>(event_count());
  MEAD_ASSIGN_OR_RETURN(
      SqliteStatement insert,
      writer_.Prepare("INSERT OR REPLACE INTO snapshots (seq, record) VALUES (?1, ?2)"));
  MEAD_RETURN_IF_ERROR(insert.BindInt(1, seq).BindBlob(2, record).Run());
  snapshot_at_ = static_cast<uint64_t>(seq);
  MEAD_ASSIGN_OR_RETURN(SqliteStatement prune,
                        writer_.Prepare("DELETE FROM snapshots WHERE seq NOT IN "
                                        "(SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?1)"));
  return prune.BindInt(1, kSnapshotsKept).Run();
}

absl::StatusOr<std::vector<MetricRow>> SqliteStore::Metrics(const std::string& trial_id,
                                                            std::span<const std::string> names) {
  absl::MutexLock lock(&reader_mu_);
  MEAD_ASSIGN_OR_RETURN(
      SqliteStatement select,
      reader_.Prepare("SELECT epoch, step, name, attempt, time_micros, value FROM metrics "
                      "WHERE trial_id = ?1 ORDER BY epoch, step, name"));
  select.BindText(1, trial_id);
  std::vector<MetricRow> rows;
  while (true) {
    MEAD_ASSIGN_OR_RETURN(const bool more, select.Step());
    if (!more) return rows;
    MetricRow row;
    row.name = select.Bytes(2);
    if (!names.empty() && std::find(names.begin(), names.end(), row.name) == names.end()) continue;
    row.trial_id = trial_id;
    row.epoch = static_cast<int>(select.Int(0));
    row.step = select.Int(1);
    row.attempt = static_cast<int>(select.Int(3));
    row.time_micros = select.Int(4);
    row.value = select.Double(5);
    rows.push_back(std::move(row));
  }
}

absl::StatusOr<ConfusionRow> SqliteStore::Confusion(const std::string& trial_id, int epoch) {
  absl::MutexLock lock(&reader_mu_);
  MEAD_ASSIGN_OR_RETURN(SqliteStatement select,
                        reader_.Prepare("SELECT attempt, record FROM confusion "
                                        "WHERE trial_id = ?1 AND epoch = ?2"));
  MEAD_ASSIGN_OR_RETURN(const bool row, select.BindText(1, trial_id).BindInt(2, epoch).Step());
  if (!row) {
    return absl::NotFoundError(
        absl::StrCat("no confusion matrix of trial ", trial_id, ", epoch ", epoch));
  }
  v1::ConfusionMatrix matrix;
  if (!matrix.ParseFromString(select.Bytes(1))) {
    return absl::DataLossError(absl::StrCat("the confusion matrix of trial ", trial_id, ", epoch ",
                                            epoch, ", is damaged"));
  }
  return ConfusionRow{.trial_id = trial_id,
                      .attempt = static_cast<int>(select.Int(0)),
                      .epoch = epoch,
                      .classes = {matrix.classes().begin(), matrix.classes().end()},
                      .counts = {matrix.counts().begin(), matrix.counts().end()}};
}

absl::StatusOr<std::vector<int>> SqliteStore::ConfusionEpochs(const std::string& trial_id) {
  absl::MutexLock lock(&reader_mu_);
  MEAD_ASSIGN_OR_RETURN(
      SqliteStatement select,
      reader_.Prepare("SELECT epoch FROM confusion WHERE trial_id = ?1 ORDER BY epoch"));
  select.BindText(1, trial_id);
  std::vector<int> epochs;
  while (true) {
    MEAD_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return epochs;
    epochs.push_back(static_cast<int>(select.Int(0)));
  }
}

absl::StatusOr<std::vector<LogRow>> SqliteStore::Logs(const std::string& trial_id, int64_t after_id,
                                                      int limit) {
  absl::MutexLock lock(&reader_mu_);
  MEAD_ASSIGN_OR_RETURN(SqliteStatement select,
                        reader_.Prepare("SELECT id, attempt, rank, time_micros, text FROM logs "
                                        "WHERE trial_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"));
  select.BindText(1, trial_id).BindInt(2, after_id).BindInt(3, limit);
  std::vector<LogRow> rows;
  while (true) {
    MEAD_ASSIGN_OR_RETURN(const bool more, select.Step());
    if (!more) return rows;
    rows.push_back({.trial_id = trial_id,
                    .attempt = static_cast<int>(select.Int(1)),
                    .rank = static_cast<int>(select.Int(2)),
                    .time_micros = select.Int(3),
                    .text = select.Bytes(4),
                    .id = select.Int(0)});
  }
}

}  // namespace mead::store
