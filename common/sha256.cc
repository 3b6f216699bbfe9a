#include "common/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr size_t kHexDigits = 64;

// OpenSSL fails here only when memory has run out.
void Require(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    Require(context != nullptr);
    Require(EVP_DigestInit_ex(context, EVP_sha256(), nullptr));
  }
  ~State() { EVP_MD_CTX_free(context); }
  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::string_view data) {
  Require(EVP_DigestUpdate(state_->context, data.data(), data.size()));
}

std::string Sha256::HexDigest() const {
  // Finishing ends a context, so a copy is finished.
  const State copy;
  Require(EVP_MD_CTX_copy_ex(copy.context, state_->context));
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(copy.context, bytes, &size));
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(size_t{2} * size);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kHex[bytes[i] >> 4];
    hex += kHex[bytes[i] & 15];
  }
  return hex;
}

absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path.string()));
  Sha256 sha;
  std::vector<char> buffer(1 << 18);
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      close(fd);
      return ErrnoStatus(error, absl::StrCat("cannot read ", path.string()));
    }
    if (got == 0) break;
    sha.Update({buffer.data(), static_cast<size_t>(got)});
  }
  close(fd);
  return sha.HexDigest();
}

std::string DigestOf(std::string_view data) {
  Sha256 sha;
  sha.Update(data);
  return absl::StrCat(ToAbsl(kPrefix), sha.HexDigest());
}

absl::StatusOr<std::string> DigestOfFile(const std::filesystem::path& path) {
  MEAD_ASSIGN_OR_RETURN(const std::string hex, Sha256OfFile(path));
  return absl::StrCat(ToAbsl(kPrefix), hex);
}

bool IsDigest(std::string_view text) {
  return text.size() == kPrefix.size() + kHexDigits && text.starts_with(kPrefix) &&
         text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

std::string_view DigestHex(std::string_view digest) { return digest.substr(kPrefix.size()); }

}  // namespace mead
