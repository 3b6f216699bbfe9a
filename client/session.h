// What every command has at hand: the terminal, the output format, the coordinator.
//
// A command is a function Session& x options -> StatusOr<int>: the exit code, or an error that
// is printed as "mead: ..." and mapped to its exit code (connection.h).
//
// Thread: the main thread only.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/config.h"
#include "client/connection.h"
#include "client/output.h"
#include "client/terminal.h"

namespace mead::client {

class Session {
 public:
  explicit Session(Terminal& terminal_in) : terminal(terminal_in) {}

  // The coordinator that the options, the environment or the context name; chosen at the
  // first use.
  [[nodiscard]] absl::StatusOr<Connection*> Server();
  // HOST:PORT of the status page, where the context knows it.
  const std::string& http() const { return http_; }

  // Prints the message when the format is JSON or YAML, and says whether it did.
  bool Print(const google::protobuf::Message& message) const;
  bool names_only() const { return format == OutputFormat::kName; }

  Terminal& terminal;
  OutputFormat format = OutputFormat::kTable;
  std::string server_flag;

 private:
  std::unique_ptr<Connection> connection_;
  std::string http_;
};

}  // namespace mead::client
