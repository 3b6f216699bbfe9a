#include "coordinator/service/endpoint.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::service {

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text), "' is not HOST:PORT, for example 127.0.0.1:7070"));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("'", std::string(text),
                                                   "': put the IPv6 address in brackets, [",
                                                   std::string(host), "]:PORT"));
  }
  Endpoint endpoint;
  endpoint.host = host;
  if (host.empty() || !absl::SimpleAtoi(ToAbsl(text.substr(colon + 1)), &endpoint.port) ||
      endpoint.port < 0 || endpoint.port > 65'535) {
    return wrong;
  }
  return endpoint;
}

std::string EndpointText(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", endpoint.host, v6 ? "]:" : ":", endpoint.port);
}

absl::Status CheckCanListen(const Endpoint& endpoint, std::string_view flag) {
  const std::string name = EndpointText(endpoint);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(),
                                &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(flag), " ", name,
                                                   ": no such address: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  const ScopedFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A connection of a coordinator that has just ended must not keep the next one out.
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) == 0) return absl::OkStatus();
  switch (errno) {
    case EADDRINUSE:
      return absl::UnavailableError(absl::StrCat(
          "port ", endpoint.port, " of ", endpoint.host,
          " is taken by another process; end it, or choose another port with ",
          std::string(flag), " HOST:PORT (port 0: any free one)"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(
          std::string(flag), " ", name, ": this machine has no address ", endpoint.host,
          "; use 0.0.0.0 for all of its addresses"));
    default:
      return absl::PermissionDeniedError(absl::StrCat("cannot listen on ", name, " (",
                                                      std::string(flag), "): ",
                                                      std::strerror(errno)));
  }
}

}  // namespace mead::service
