// A folder of a test's own, gone when the test ends.
#pragma once

#include <filesystem>
#include <string>

namespace mead::testing {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // The path of a name inside it.
  std::string Join(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// The folder of real pictures and weights that some tests read: MEAD_SHARED, or
// ../shared beside the source tree. Empty when there is none; such a test then
// skips, saying so.
std::filesystem::path SharedDir();

}  // namespace mead::testing
