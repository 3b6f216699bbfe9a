// SHA-256, and the digests that name artefacts: "sha256:" and 64 lower-case
// hexadecimal digits.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mead {

// Thread: not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view data);
  // Of everything so far; more may be added afterwards.
  std::string HexDigest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 64 hexadecimal digits of a file's content.
// Errors: as ReadFile (files.h).
[[nodiscard]] absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);

std::string DigestOf(std::string_view data);
[[nodiscard]] absl::StatusOr<std::string> DigestOfFile(const std::filesystem::path& path);

bool IsDigest(std::string_view text);
// The 64 digits without "sha256:". `digest` must be one (IsDigest).
std::string_view DigestHex(std::string_view digest);

}  // namespace mead
