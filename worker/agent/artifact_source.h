// Where artefacts come from and go to, so that the cache and the uploads can be
// tested without a coordinator.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace mead::agent {

// Thread: thread-safe. Calls block; a stop makes them return CANCELLED soon.
class ArtifactSource {
 public:
  virtual ~ArtifactSource() = default;

  // Takes the next bytes; an error ends the read and is returned from it.
  using Sink = std::function<absl::Status(std::string_view data)>;

  // Reads an artefact from an offset to its end.
  // Errors: NOT_FOUND, OUT_OF_RANGE (offset beyond the end), DATA_LOSS (damaged at
  //   the source), UNAVAILABLE and others that pass with time.
  [[nodiscard]] virtual absl::Status Read(const std::string& digest, uint64_t offset,
                                          const Sink& sink, std::stop_token stop) = 0;

  // Stores a file under its digest, going on where an earlier try ended.
  // Errors: DATA_LOSS (the file is not what the digest says), RESOURCE_EXHAUSTED
  //   (the store's disk is nearly full), UNAVAILABLE and others that pass.
  [[nodiscard]] virtual absl::Status Upload(const std::string& digest,
                                            const std::filesystem::path& file,
                                            std::stop_token stop) = 0;
};

// Whether trying again later may help.
bool IsTransient(const absl::Status& status);

}  // namespace mead::agent
