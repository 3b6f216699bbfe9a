// A thin hold on SQLite's C interface: connections and statements that close
// themselves, and its result codes as Status with what to do about them.
//
// Thread: a connection and its statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mead::store {

class SqliteStatement {
 public:
  SqliteStatement() = default;
  ~SqliteStatement();
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;

  // Parameters count from 1. A failed bind (out of memory) is told by Step().
  SqliteStatement& BindInt(int index, int64_t value);
  SqliteStatement& BindDouble(int index, double value);
  // `value` must live until Step() has returned.
  SqliteStatement& BindText(int index, std::string_view value);
  SqliteStatement& BindBlob(int index, std::string_view value);

  // True: a row is there. False: done, and ready to be bound again.
  [[nodiscard]] absl::StatusOr<bool> Step();
  // For what returns no rows.
  [[nodiscard]] absl::Status Run();
  void Reset();

  // Columns count from 0.
  int64_t Int(int column) const;
  double Double(int column) const;  // NULL reads as NaN
  std::string Bytes(int column) const;

 private:
  friend class SqliteDb;
  SqliteStatement(const class SqliteDb* db, sqlite3_stmt* stmt) : db_(db), stmt_(stmt) {}

  const SqliteDb* db_ = nullptr;
  sqlite3_stmt* stmt_ = nullptr;
  int bind_error_ = 0;
};

class SqliteDb {
 public:
  SqliteDb() = default;
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  [[nodiscard]] absl::Status Open(const std::filesystem::path& path);
  [[nodiscard]] absl::StatusOr<SqliteStatement> Prepare(std::string_view sql) const;
  [[nodiscard]] absl::Status Execute(const std::string& sql) const;
  // The single integer that the query gives.
  [[nodiscard]] absl::StatusOr<int64_t> QueryInt(std::string_view sql) const;

  // The last error of this connection, as `code` has it.
  absl::Status Error(int code) const;

 private:
  std::filesystem::path path_;
  sqlite3* db_ = nullptr;
};

}  // namespace mead::store
