// A made-up data set: endoscopy-like pictures under Kvasir's eight class names, for demos
// and tests. Classes differ as the real ones do (dyed margins, polyps, the z-line, the pylorus,
// ulcers); esophagitis is drawn as a z-line with inflammation of any degree down to nearly none,
// so that the confusion matrix is worth looking at.
//
// Output: out_dir/<class>/<class>-<index>.jpg. The same options give the same bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/dataset/build.h"

namespace mead::dataset {

// In label order.
inline constexpr std::array<const char*, 8> kKvasirClasses = {
    "dyed-lifted-polyps", "dyed-resection-margins", "esophagitis", "normal-cecum",
    "normal-pylorus",     "normal-z-line",          "polyps",      "ulcerative-colitis"};

struct SynthOptions {
  std::string out_dir;
  int images_per_class = 100;  // 1 to 100,000
  int size = 256;              // of the square picture, pixels; 32 to 2048
  uint64_t seed = 1;
  Progress progress;  // phase "draw"
  int threads = 0;    // 0: one per core
};

// Errors: INVALID_ARGUMENT (an option out of range), RESOURCE_EXHAUSTED (disk full).
[[nodiscard]] absl::Status SynthesizeDataset(const SynthOptions& options);

// One picture: [size, size, 3] uint8 RGB.
std::vector<uint8_t> DrawEndoscopy(int class_id, uint64_t index, int size, uint64_t seed);

}  // namespace mead::dataset
