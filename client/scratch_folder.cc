#include "client/scratch_folder.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {

namespace fs = std::filesystem;

absl::StatusOr<ScratchFolder> ScratchFolder::MakeIn(const fs::path& parent) {
  MEAD_RETURN_IF_ERROR(MakeDirs(parent));
  std::string path = (parent / "mead-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, path);
  return ScratchFolder(path);
}

void ScratchFolder::Remove() const {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace mead::client
