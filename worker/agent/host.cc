#include "worker/agent/host.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::agent {
absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port) {
  const size_t colon = host_port.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == host_port.size()) {
    return absl::InvalidArgumentError(absl::StrCat("expected HOST:PORT, got '", host_port, "'"));
  }
  std::string host = host_port.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), host_port.c_str() + colon + 1, &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat(host_port, ": ", gai_strerror(error)));
  }
  absl::StatusOr<std::string> result =
      absl::UnavailableError(absl::StrCat("no route to ", host_port));
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    // Connecting a datagram socket only chooses a route.
    const ScopedFd fd(socket(each->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage local = {};
    socklen_t size = sizeof local;
    char text[NI_MAXHOST];
    if (!fd.valid() || connect(fd.get(), each->ai_addr, each->ai_addrlen) != 0 ||
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0 ||
        getnameinfo(reinterpret_cast<sockaddr*>(&local), size, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) != 0) {
      continue;
    }
    result = std::string(text) == "::1" ? "127.0.0.1" : std::string(text);
    break;
  }
  freeaddrinfo(found);
  return result;
}

std::string DefaultWorkerName() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::string name;
  for (const char* c = host; *c != '\0' && name.size() < 63; ++c) {
    const char lower = *c >= 'A' && *c <= 'Z' ? static_cast<char>(*c - 'A' + 'a') : *c;
    const bool valid = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ||
                       lower == '.' || lower == '-';
    name += valid ? lower : '-';
  }
  return name.empty() ? "worker" : name;
}

}  // namespace mead::agent
