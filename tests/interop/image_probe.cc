// Decodes the picture files named on standard input, one a line. Answers each with a line "WIDTH
// HEIGHT" and the RGB bytes, or with a line "error REASON".
#include <cstdio>
#include <iostream>
#include <string>

#include "common/dataset/image.h"
#include "common/files.h"

int main() {
  mead::dataset::ImageDecoder decoder;
  for (std::string path; std::getline(std::cin, path);) {
    const absl::StatusOr<std::string> file = mead::ReadFile(path);
    if (!file.ok()) return 1;
    const auto image =
        decoder.Decode({reinterpret_cast<const uint8_t*>(file->data()), file->size()});
    if (image.ok()) {
      std::printf("%d %d\n", image->width, image->height);
      std::fwrite(image->pixels.data(), 1, image->pixels.size(), stdout);
    } else {
      std::printf("error %s\n", std::string(image.status().message()).c_str());
    }
    std::fflush(stdout);
  }
  return 0;
}
