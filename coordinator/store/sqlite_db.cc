#include "coordinator/store/sqlite_db.h"

#include <sqlite3.h>

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::store {

SqliteStatement::~SqliteStatement() { sqlite3_finalize(stmt_); }

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_), stmt_(std::exchange(other.stmt_, nullptr)), bind_error_(other.bind_error_) {}

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(stmt_, other.stmt_);
  std::swap(bind_error_, other.bind_error_);
  return *this;
}

SqliteStatement& SqliteStatement::BindInt(int index, int64_t value) {
  if (const int code = sqlite3_bind_int64(stmt_, index, value)) bind_error_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::BindDouble(int index, double value) {
  if (const int code = sqlite3_bind_double(stmt_, index, value)) bind_error_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::BindText(int index, std::string_view value) {
  if (const int code = sqlite3_bind_text64(stmt_, index, value.data(), value.size(), SQLITE_STATIC,
                                           SQLITE_UTF8)) {
    bind_error_ = code;
  }
  return *this;
}

SqliteStatement& SqliteStatement::BindBlob(int index, std::string_view value) {
  // A null pointer would make it NULL; an empty blob is a value.
  const char* data = value.data() != nullptr ? value.data() : "";
  if (const int code = sqlite3_bind_blob64(stmt_, index, data, value.size(), SQLITE_STATIC)) {
    bind_error_ = code;
  }
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = bind_error_ != 0 ? bind_error_ : sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  // Made before the reset, which forgets the message.
  const absl::Status status = code == SQLITE_DONE ? absl::OkStatus() : db_->Error(code);
  Reset();
  if (!status.ok()) return status;
  return false;
}

absl::Status SqliteStatement::Run() { return Step().status(); }

void SqliteStatement::Reset() {
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);
  bind_error_ = 0;
}

int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(stmt_, column); }

double SqliteStatement::Double(int column) const {
  // SQLite has no NaN: it stores NULL for it.
  if (sqlite3_column_type(stmt_, column) == SQLITE_NULL) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return sqlite3_column_double(stmt_, column);
}

std::string SqliteStatement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(stmt_, column);
  const int size = sqlite3_column_bytes(stmt_, column);
  if (data == nullptr || size <= 0) return "";
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

SqliteDb::~SqliteDb() { sqlite3_close_v2(db_); }

absl::Status SqliteDb::Open(const std::filesystem::path& path) {
  path_ = path;
  const int code =
      sqlite3_open_v2(path.c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return Error(code);
  sqlite3_extended_result_codes(db_, 1);
  // Only a backup or a curious `sqlite3` shell can be in the way.
  sqlite3_busy_timeout(db_, 5000);
  return absl::OkStatus();
}

absl::StatusOr<SqliteStatement> SqliteDb::Prepare(std::string_view sql) const {
  sqlite3_stmt* stmt = nullptr;
  const int code =
      sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &stmt, nullptr);
  if (code != SQLITE_OK) return Error(code);
  return SqliteStatement(this, stmt);
}

absl::Status SqliteDb::Execute(const std::string& sql) const {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<int64_t> SqliteDb::QueryInt(std::string_view sql) const {
  MEAD_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  MEAD_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError(absl::StrCat("no row: ", ToAbsl(sql)));
  return statement.Int(0);
}

absl::Status SqliteDb::Error(int code) const {
  const std::string what = absl::StrCat(
      path_.string(), ": ", db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code));
  const std::string folder = path_.parent_path().string();
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(
          absl::StrCat(what, "; free disk space for ", folder, " and start again"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(
          what, "; another process holds the file: end it (a backup, an sqlite3 shell?)"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(
          absl::StrCat(what,
                       "; the file is damaged or no SQLite file: put a backup in its place, or try "
                       "`sqlite3 mead.db .recover`"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return absl::PermissionDeniedError(
          absl::StrCat(what, "; the coordinator must be able to write in ", folder));
    case SQLITE_IOERR:
      return absl::InternalError(absl::StrCat(what, " (SQLite code ", code,
                                              "); look at the disk of ", folder,
                                              ": its quota, its mount, the kernel's log"));
    default:
      return absl::InternalError(absl::StrCat(what, " (SQLite code ", code, ")"));
  }
}

}  // namespace mead::store
