// A data set of four pictures, as what evaluates it sees it.
#pragma once

#include "common/dataset/manifest.h"

namespace mead::trainer {

// Two classes; three validation pictures among the four, of classes 0, 1, 1.
inline dataset::Manifest ExampleManifest() {
  dataset::Manifest manifest;
  manifest.classes = {"polyp", "normal"};
  const auto add = [&manifest](const char* key, uint32_t class_id, dataset::Split split) {
    dataset::Sample& sample = manifest.samples.emplace_back();
    sample.key = key;
    sample.class_id = class_id;
    sample.split = split;
  };
  add("polyp/1.jpg", 0, dataset::Split::kVal);
  add("polyp/2.jpg", 0, dataset::Split::kTrain);
  add("normal/3.jpg", 1, dataset::Split::kVal);
  add("normal/4.jpg", 1, dataset::Split::kVal);
  return manifest;
}

}  // namespace mead::trainer
