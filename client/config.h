// Contexts: named coordinators, in $XDG_CONFIG_HOME/mead/config.yaml (~/.config otherwise):
//   current: local
//   contexts:
//     local: {server: 127.0.0.1:7070, http: 127.0.0.1:7071, dir: /home/me/.local/share/mead/local}
//
// Thread: plain data; Load and Save use the disk.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/terminal.h"

namespace mead::client {

inline constexpr char kDefaultServer[] = "127.0.0.1:7070";

struct ContextEntry {
  std::string server;  // HOST:PORT of gRPC
  std::string http;    // HOST:PORT of the status page; may be empty
  std::string dir;     // of a local cluster; else empty
};

struct Config {
  std::string current;
  std::map<std::string, ContextEntry> contexts;

  // An absent file is an empty config.
  // Errors: INVALID_ARGUMENT naming the file and line.
  [[nodiscard]] static absl::StatusOr<Config> Load(const std::string& path);
  // Replaces the file at once, never half.
  [[nodiscard]] absl::Status Save(const std::string& path) const;
};

std::string ConfigPath(const Terminal& terminal);
// $XDG_DATA_HOME/mead/local, where a local cluster lives unless told otherwise.
std::string DefaultLocalDir(const Terminal& terminal);
// $XDG_CACHE_HOME/mead, for what can be made again.
std::string CacheDir(const Terminal& terminal);

// The coordinator that commands talk to.
struct ServerChoice {
  std::string address;
  // Where it was named, for messages: "--server", "MEAD_SERVER", "context local", "the default".
  std::string origin;
  std::string http;
};

// flag wins over MEAD_SERVER, over the current context, over the default.
[[nodiscard]] absl::StatusOr<ServerChoice> ChooseServer(const Terminal& terminal,
                                                        const std::string& flag);

// Errors: INVALID_ARGUMENT unless "HOST:PORT".
[[nodiscard]] absl::Status CheckAddress(const std::string& address, const std::string& origin);

}  // namespace mead::client
