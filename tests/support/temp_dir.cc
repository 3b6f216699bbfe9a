#include "tests/support/temp_dir.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace mead::testing {

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  std::string name = std::string(base != nullptr ? base : "/tmp") + "/mead-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path SharedDir() {
  const char* given = std::getenv("MEAD_SHARED");
  const std::filesystem::path path = given != nullptr ? given : MEAD_SOURCE_DIR "/../shared";
  return std::filesystem::is_directory(path) ? path : std::filesystem::path();
}

}  // namespace mead::testing
