// Makes a data set for test_dataset.py. Usage: dataset_probe PATH OUT_DIR
#include <iostream>

#include "common/dataset/build.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  mead::dataset::BuildOptions options;
  options.name = "probe";
  options.path = argv[1];
  options.out_dir = argv[2];
  options.threads = 1;
  const auto manifest = mead::dataset::BuildDataset(options);
  if (manifest.ok()) return 0;
  std::cerr << manifest.status() << "\n";
  return 1;
}
