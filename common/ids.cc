#include "common/ids.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace mead {

std::string RandomId(std::string_view prefix, size_t length) {
  static constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  std::vector<unsigned char> bytes(length);
  for (size_t filled = 0; filled < length;) {
    const ssize_t got = getrandom(bytes.data() + filled, length - filled, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      // Only a kernel without getrandom(2) comes here; ids must never repeat.
      std::perror("getrandom");
      std::abort();
    }
    filled += static_cast<size_t>(got);
  }
  std::string id(prefix);
  for (const unsigned char byte : bytes) id += kAlphabet[byte % 32];
  return id;
}

}  // namespace mead
