#include "worker/data/shard_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::data {

absl::StatusOr<ShardReader> ShardReader::Open(const dataset::Manifest& manifest,
                                              const std::vector<std::string>& paths,
                                              dataset::Split split) {
  if (paths.size() != manifest.shards.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the manifest has ", manifest.shards.size(),
                                                   " shards, and ", paths.size(),
                                                   " paths were given"));
  }
  ShardReader reader;
  reader.paths_ = paths;
  reader.files_.resize(paths.size());
  // As the samples say: with folds a shard has pictures of either split.
  std::vector<bool> wanted(paths.size());
  for (const dataset::Sample& sample : manifest.samples) {
    if (sample.split == split) wanted[sample.shard] = true;
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!wanted[i]) continue;
    ScopedFd fd(open(paths[i].c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd.valid() || fstat(fd.get(), &info) != 0) {
      return ErrnoStatus(errno, absl::StrCat("cannot open shard ", i, ", ", paths[i]));
    }
    if (static_cast<uint64_t>(info.st_size) != manifest.shards[i].bytes) {
      return absl::DataLossError(absl::StrCat("shard ", i, ", ", paths[i], ", has ", info.st_size,
                                              " bytes, the manifest says ",
                                              manifest.shards[i].bytes, ": fetch it again"));
    }
    reader.files_[i] = std::move(fd);
  }
  return reader;
}

absl::Status ShardReader::Read(const dataset::Sample& sample, std::vector<uint8_t>& bytes) const {
  bytes.resize(sample.size);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = pread(files_[sample.shard].get(), bytes.data() + done, bytes.size() - done,
                            static_cast<off_t>(sample.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return absl::DataLossError(
          absl::StrCat(Describe(sample),
                       " cannot be read: ", n < 0 ? std::strerror(errno) : "the file is cut off"));
    }
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

std::string ShardReader::Describe(const dataset::Sample& sample) const {
  return absl::StrCat("picture '", sample.key, "' of shard ", sample.shard, " (",
                      paths_[sample.shard], ")");
}

}  // namespace mead::data
