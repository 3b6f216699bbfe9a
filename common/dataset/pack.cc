#include "common/dataset/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

// One tar file being written. libarchive makes the headers; bytes go straight through to a file, so
// that their count after a header is where the member's content begins.
class ShardWriter {
 public:
  static absl::StatusOr<std::unique_ptr<ShardWriter>> Create(const fs::path& path) {
    std::unique_ptr<ShardWriter> writer(new ShardWriter(path));
    writer->fd_ = ScopedFd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!writer->fd_.valid())
      return ErrnoStatus(errno, absl::StrCat("cannot write ", path.string()));
    archive* a = writer->archive_.get();
    archive_write_set_format_pax_restricted(a);
    archive_write_set_bytes_per_block(a, 0);  // unbuffered
    archive_write_set_options(a, "hdrcharset=UTF-8");
    if (archive_write_open(a, writer.get(), nullptr, &ShardWriter::Write, nullptr) != ARCHIVE_OK) {
      return writer->Error();
    }
    return writer;
  }

  // Returns where the content begins.
  absl::StatusOr<uint64_t> Add(const std::string& name, std::string_view content) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    archive_entry_set_pathname_utf8(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(archive_.get(), entry.get()) < ARCHIVE_WARN) return Error();
    const uint64_t offset = bytes_;
    if (archive_write_data(archive_.get(), content.data(), content.size()) < 0) return Error();
    if (archive_write_finish_entry(archive_.get()) < ARCHIVE_WARN) return Error();
    return offset;
  }

  absl::Status Finish() {
    if (archive_write_close(archive_.get()) < ARCHIVE_WARN) return Error();
    return absl::OkStatus();
  }

  uint64_t bytes() const { return bytes_; }
  std::string digest() const { return absl::StrCat("sha256:", sha256_.HexDigest()); }

 private:
  explicit ShardWriter(const fs::path& path) : path_(path), archive_(archive_write_new(), &Free) {}
  static void Free(archive* a) { archive_write_free(a); }

  static la_ssize_t Write(archive* a, void* self, const void* data, size_t size) {
    auto* writer = static_cast<ShardWriter*>(self);
    const std::string_view bytes(static_cast<const char*>(data), size);
    writer->status_ = WriteFully(writer->fd_.get(), bytes, writer->path_.string());
    if (!writer->status_.ok()) {
      archive_set_error(a, EIO, "write failed");
      return -1;
    }
    writer->sha256_.Update(bytes);
    writer->bytes_ += size;
    return static_cast<la_ssize_t>(size);
  }

  absl::Status Error() const {
    if (!status_.ok()) return status_;
    const char* reason = archive_error_string(archive_.get());
    return absl::InternalError(
        absl::StrCat("cannot write ", path_.string(), ": ", reason != nullptr ? reason : "tar"));
  }

  const fs::path path_;
  ScopedFd fd_;
  uint64_t bytes_ = 0;
  Sha256 sha256_;
  absl::Status status_;
  std::unique_ptr<archive, void (*)(archive*)> archive_;  // last: closing it may still write
};

// The member's name without its extension: the key, without dots in its last part, where
// WebDataset readers would cut it; made unique among `taken`.
std::string MemberName(const std::string& key, std::set<std::string>& taken) {
  const size_t slash = key.rfind('/');
  const size_t start = slash == std::string::npos ? 0 : slash + 1;
  const size_t dot = key.rfind('.');
  std::string name = dot == std::string::npos || dot <= start ? key : key.substr(0, dot);
  std::replace(name.begin() + static_cast<std::ptrdiff_t>(start), name.end(), '.', '_');
  std::string unique = name;
  for (int i = 2; !taken.insert(unique).second; ++i) unique = absl::StrCat(name, "~", i);
  return unique;
}

const char* ExtensionOf(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return ".jpg";
    case ImageFormat::kPng:
      return ".png";
    case ImageFormat::kWebp:
      return ".webp";
    case ImageFormat::kTiff:
      return ".tif";
  }
  return "";
}

}  // namespace

absl::Status Pack(const std::vector<PackItem>& items, const std::string& out_dir,
                  uint64_t shard_bytes, const Progress& progress, Manifest& manifest) {
  const ScopedUtf8Locale utf8;
  MEAD_RETURN_IF_ERROR(MakeDirs(out_dir));
  std::unique_ptr<ShardWriter> writer;
  std::set<std::string> taken;
  const auto finish = [&]() -> absl::Status {
    if (writer == nullptr) return absl::OkStatus();
    MEAD_RETURN_IF_ERROR(writer->Finish());
    manifest.shards.back().bytes = writer->bytes();
    manifest.shards.back().digest = writer->digest();
    writer.reset();
    return absl::OkStatus();
  };
  manifest.shards.clear();
  for (size_t i = 0; i < items.size(); ++i) {
    Sample& sample = manifest.samples[i];
    if (writer != nullptr &&
        (manifest.shards.back().split != sample.split || writer->bytes() >= shard_bytes)) {
      MEAD_RETURN_IF_ERROR(finish());
    }
    if (writer == nullptr) {
      manifest.shards.emplace_back().split = sample.split;
      const fs::path path = fs::path(out_dir) / ShardFileName(manifest, manifest.shards.size() - 1);
      MEAD_ASSIGN_OR_RETURN(writer, ShardWriter::Create(path));
    }
    MEAD_ASSIGN_OR_RETURN(const std::string content, ReadFile(items[i].path));
    if (DigestOf(content) != sample.digest) {
      return absl::FailedPreconditionError(absl::StrCat(
          items[i].path, " changed while the data set was being made: add the data set again"));
    }
    const std::string name = MemberName(sample.key, taken);
    MEAD_ASSIGN_OR_RETURN(sample.offset,
                          writer->Add(absl::StrCat(name, ExtensionOf(items[i].format)), content));
    sample.size = content.size();
    sample.shard = static_cast<uint32_t>(manifest.shards.size() - 1);
    MEAD_RETURN_IF_ERROR(
        writer->Add(absl::StrCat(name, ".cls"), absl::StrCat(sample.class_id)).status());
    ++manifest.shards.back().num_samples;
    if (progress && i % 64 == 0) progress("pack", i, items.size());
  }
  MEAD_RETURN_IF_ERROR(finish());
  if (progress) progress("pack", items.size(), items.size());
  return absl::OkStatus();
}

}  // namespace mead::dataset
