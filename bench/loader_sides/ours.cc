// Our side of bench/loader: builds a data set of a folder, then loads as many epochs as each line
// on stdin says and answers with the seconds they took (the protocol: bench/harness.py).
//
// first: each is a first epoch, which decodes and fills a new cache of decoded pictures; later:
// each finds it full.
//
// Usage: loader_ours PICTURES OUT_DIR IMAGE_SIZE BATCH THREADS first|later

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "bench/side.h"
#include "common/base/epoch_plan.h"
#include "common/dataset/build.h"
#include "common/sha256.h"
#include "worker/data/loader.h"

namespace {

template <class T>
T OrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "loader_ours: " << value.status() << "\n";
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "usage: loader_ours PICTURES OUT_DIR IMAGE_SIZE BATCH THREADS first|later\n";
    return 2;
  }
  mead::dataset::BuildOptions build;
  build.name = "bench";
  build.path = argv[1];
  build.out_dir = argv[2];
  const mead::dataset::Manifest manifest = OrDie(mead::dataset::BuildDataset(build));
  mead::data::LoaderOptions options;
  options.manifest = &manifest;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    options.shard_paths.push_back(build.out_dir + "/" + ShardFileName(manifest, i));
  }
  options.image_size = std::atoi(argv[3]);
  options.threads = std::atoi(argv[5]);
  const bool first = std::string(argv[6]) == "first";
  options.shared_cache.dir = build.out_dir + "/cache";
  options.shared_cache.limit_bytes = uint64_t{64} << 30;
  options.shared_cache.dataset_digest = mead::DigestOf(manifest.ToJson());
  options.shared_cache.say = [](const std::string& line) { std::cerr << line + "\n"; };
  options.augment = {
      .rotate = 180, .flip = mead::Flip::kBoth, .crop_lo = 0.7, .crop_hi = 1, .lighting = 0.2};
  std::unique_ptr<mead::data::Loader> loader = OrDie(mead::data::Loader::Create(options));
  options.shared_cache.say = [](const std::string&) {};
  mead::bench::Say("images " + std::to_string(loader->num_samples()));
  uint64_t epoch = 0;
  auto load_epoch = [&] {
    if (first) {
      loader.reset();
      std::filesystem::remove_all(options.shared_cache.dir);
      loader = OrDie(mead::data::Loader::Create(options));
    }
    const mead::EpochPlan plan({.num_samples = loader->num_samples(),
                                .seed = 1,
                                .epoch = ++epoch,
                                .batch_size = std::strtoull(argv[4], nullptr, 10),
                                .world_size = 1});
    std::vector<std::vector<uint64_t>> steps;
    for (uint64_t step = 0; step < plan.steps(); ++step) {
      const auto slice = plan.Slice(step, 0);
      steps.emplace_back(slice.begin(), slice.end());
    }
    if (const absl::Status status = loader->StartEpoch(epoch, std::move(steps)); !status.ok()) {
      std::cerr << status << "\n";
      std::exit(1);
    }
    for (uint64_t step = 0; step < plan.steps(); ++step) OrDie(loader->Next());
  };
  load_epoch();  // later: fills the cache
  mead::bench::AnswerOrders({.run =
                                 [&](int epochs) {
                                   for (int i = 0; i < epochs; ++i) load_epoch();
                                 },
                             .others = {}});
  return 0;
}
