// Archives for tests, packed as told.
#pragma once

#include <string>
#include <vector>

namespace mead::dataset {

struct Member {
  std::string name;
  std::string content;
  std::string link_to = {};  // a symbolic link if not empty
};

// Packs members as they are; the format goes by the name: .zip, .tar, and .tar.gz for all others.
void PackMembers(const std::string& path, const std::vector<Member>& members);

}  // namespace mead::dataset
