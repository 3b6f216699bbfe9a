#include "tests/unit/dataset/packed.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

namespace mead::dataset {

void PackMembers(const std::string& path, const std::vector<Member>& members) {
  archive* a = archive_write_new();
  if (path.ends_with(".zip")) {
    archive_write_set_format_zip(a);
  } else {
    archive_write_set_format_pax_restricted(a);
    if (!path.ends_with(".tar")) archive_write_add_filter_gzip(a);
  }
  archive_write_set_options(a, "hdrcharset=UTF-8");
  ASSERT_EQ(archive_write_open_filename(a, path.c_str()), ARCHIVE_OK);
  for (const Member& member : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname_utf8(entry, member.name.c_str());
    archive_entry_set_perm(entry, 0644);
    if (!member.link_to.empty()) {
      archive_entry_set_filetype(entry, AE_IFLNK);
      archive_entry_set_symlink(entry, member.link_to.c_str());
    } else {
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_size(entry, static_cast<la_int64_t>(member.content.size()));
    }
    ASSERT_GE(archive_write_header(a, entry), ARCHIVE_WARN);
    archive_write_data(a, member.content.data(), member.content.size());
    archive_entry_free(entry);
  }
  archive_write_close(a);
  archive_write_free(a);
}

}  // namespace mead::dataset
