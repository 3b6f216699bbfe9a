#include "client/session.h"

#include "common/status_util.h"

namespace mead::client {

absl::StatusOr<Connection*> Session::Server() {
  if (connection_ == nullptr) {
    MEAD_ASSIGN_OR_RETURN(const ServerChoice choice, ChooseServer(terminal, server_flag));
    connection_ = std::make_unique<Connection>(choice.address, choice.origin);
    http_ = choice.http;
  }
  return connection_.get();
}

bool Session::Print(const google::protobuf::Message& message) const {
  if (format == OutputFormat::kJson) {
    terminal.out << ToJson(message);
  } else if (format == OutputFormat::kYaml) {
    terminal.out << ToYaml(message);
  } else {
    return false;
  }
  terminal.out << std::flush;
  return true;
}

}  // namespace mead::client
