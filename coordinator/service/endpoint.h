// HOST:PORT, and whether one can listen there.
//
// Thread: free functions without state.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mead::service {

struct Endpoint {
  std::string host;  // without the brackets of IPv6
  int port = 0;      // 0: the system chooses
};

// "127.0.0.1:7070", "[::1]:7070", "localhost:0".
// Errors: INVALID_ARGUMENT.
[[nodiscard]] absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text);

// "HOST:PORT" again.
[[nodiscard]] std::string EndpointText(const Endpoint& endpoint);

// Binds and lets go, because the servers' own errors do not say what is wrong.
// flag: names the remedy, "--listen".
// Errors: UNAVAILABLE (the port is taken), INVALID_ARGUMENT (no such address
//   here), PERMISSION_DENIED.
[[nodiscard]] absl::Status CheckCanListen(const Endpoint& endpoint, std::string_view flag);

}  // namespace mead::service
