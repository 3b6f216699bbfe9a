#include "worker/data/loader.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>

#include "common/augment/position_box.h"
#include "common/augment/render.h"
#include "common/base/epoch_plan.h"
#include "common/dataset/build.h"
#include "common/dataset/folds.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"
#include "worker/data/centre_crop.h"

namespace mead::data {
namespace {

namespace fs = std::filesystem;
using dataset::Split;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kSize = 32;
constexpr size_t kPictureBytes = size_t{3} * kSize * kSize;

// Holds the first pictures that come, in host memory.
class FakeStore : public PictureStore {
 public:
  explicit FakeStore(size_t most) : most_(most) {}

  bool Keep(uint64_t picture, PictureSize size, const uint8_t* pixels) override {
    const std::lock_guard lock(mutex_);
    if (images_.contains(picture)) return true;
    if (images_.size() == most_) return false;
    const auto bytes = 3 * static_cast<ptrdiff_t>(size.width) * size.height;
    images_[picture] = {size.width, size.height, {pixels, pixels + bytes}};
    return true;
  }
  std::optional<PictureSize> Find(uint64_t picture) const override {
    const std::lock_guard lock(mutex_);
    const auto found = images_.find(picture);
    if (found == images_.end()) return std::nullopt;
    return PictureSize{found->second.width, found->second.height};
  }
  Usage usage() const override { return {.pictures = images_.size()}; }

  void Render(const PlannedPicture& planned, uint8_t* out) const {
    const dataset::Image& image = images_.at(static_cast<uint64_t>(planned.picture));
    RenderAugmented(image.pixels.data(), {image.width, image.height}, planned.plan, kSize, out);
  }

 private:
  const size_t most_;
  mutable std::mutex mutex_;
  std::map<uint64_t, dataset::Image> images_;
};

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint64_t i = 0; i < 40; ++i) {
      const std::string name = std::to_string(i);
      dataset::Put(dir_.path() / "in/round" / (name + ".jpg"), dataset::Jpeg(90, 70, i));
      dataset::Put(dir_.path() / "in/flat" / (name + ".png"), dataset::Png(50, 60, 1000 + i));
    }
    dataset::BuildOptions build;
    build.name = "set";
    build.path = dir_.Join("in");
    build.out_dir = dir_.Join("out");
    build.shard_bytes = 40000;
    manifest_ = dataset::BuildDataset(build).value();
    ASSERT_GT(manifest_.shards.size(), 4u);
  }

  LoaderOptions Options(Split split = Split::kTrain) {
    LoaderOptions options;
    options.manifest = &manifest_;
    for (size_t i = 0; i < manifest_.shards.size(); ++i) {
      options.shard_paths.push_back(dir_.Join("out/" + ShardFileName(manifest_, i)));
    }
    options.split = split;
    options.image_size = kSize;
    options.augment = {.rotate = 180,
                       .flip = Flip::kBoth,
                       .crop_lo = 0.5,
                       .crop_hi = 1,
                       .lighting = 0.2,
                       .erasing = 0.5};
    options.seed = 7;
    options.threads = 2;
    return options;
  }

  void UseSharedCache(LoaderOptions& options) {
    options.shared_cache.dir = dir_.Join("cache");
    options.shared_cache.limit_bytes = 1 << 30;
    options.shared_cache.keep_free_bytes = 0;
    options.shared_cache.dataset_digest = DigestOf(manifest_.ToJson());
  }

  static std::vector<std::vector<uint64_t>> Steps(uint64_t samples, uint64_t batch) {
    std::vector<std::vector<uint64_t>> steps;
    for (uint64_t i = 0; i < samples; i += batch) {
      steps.emplace_back(std::min(batch, samples - i));
      std::iota(steps.back().begin(), steps.back().end(), i);
    }
    return steps;
  }

  // All pictures of an epoch by their index.
  static std::map<uint64_t, std::vector<uint8_t>> Epoch(
      Loader& loader, uint64_t epoch, const std::vector<std::vector<uint64_t>>& steps) {
    std::map<uint64_t, std::vector<uint8_t>> pictures;
    EXPECT_TRUE(loader.StartEpoch(epoch, steps).ok());
    for (const std::vector<uint64_t>& step : steps) {
      const absl::StatusOr<Batch> batch = loader.Next();
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok()) break;
      EXPECT_EQ(batch->indices, step);
      EXPECT_EQ(batch->size, static_cast<int>(step.size()));
      EXPECT_EQ(batch->labels.size(), step.size());
      EXPECT_EQ(batch->pixels.size(), step.size() * kPictureBytes);
      for (size_t i = 0; i < step.size(); ++i) {
        const auto at = batch->pixels.begin() + static_cast<std::ptrdiff_t>(i * kPictureBytes);
        pictures[step[i]].assign(at, at + kPictureBytes);
      }
    }
    EXPECT_EQ(loader.Next().status().code(), absl::StatusCode::kOutOfRange);
    return pictures;
  }

  testing::TempDir dir_;
  dataset::Manifest manifest_;
};

TEST_F(LoaderTest, EvaluationGivesEveryPictureWithItsLabel) {
  const auto loader = Loader::Create(Options(Split::kVal)).value();
  const std::vector<uint32_t> samples = manifest_.SamplesOf(Split::kVal);
  ASSERT_EQ(loader->num_samples(), samples.size());
  ASSERT_TRUE(loader->StartEpoch(1, Steps(samples.size(), 5)).ok());
  dataset::ImageDecoder decoder;
  for (size_t first = 0; first < samples.size(); first += 5) {
    const Batch batch = loader->Next().value();
    for (size_t i = 0; i < batch.indices.size(); ++i) {
      const dataset::Sample& sample = manifest_.samples[samples[first + i]];
      EXPECT_EQ(batch.labels[i], static_cast<int32_t>(sample.class_id));
      EXPECT_EQ(manifest_.classes[sample.class_id], fs::path(sample.key).parent_path().string());
      const std::string file = ReadFile(dir_.path() / "in" / sample.key).value();
      const auto image =
          decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, kSize);
      std::vector<uint8_t> expected(kPictureBytes);
      ResizeCentreCropInto(image->pixels.data(), {image->width, image->height}, kSize,
                           expected.data());
      const auto at = batch.pixels.begin() + static_cast<std::ptrdiff_t>(i * kPictureBytes);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), at)) << sample.key;
    }
  }
}

TEST_F(LoaderTest, AFoldTakesItsPicturesFromTheShardsOfEitherSplit) {
  const dataset::Manifest whole = manifest_;
  std::map<std::string, int> evaluated;
  for (uint32_t fold = 0; fold < 3; ++fold) {
    manifest_ = dataset::ManifestOfFold(whole, fold, 3, 0).value();
    const std::vector<uint32_t> samples = manifest_.SamplesOf(Split::kVal);
    const auto loader = Loader::Create(Options(Split::kVal)).value();
    ASSERT_EQ(loader->num_samples(), samples.size());
    EXPECT_EQ(Epoch(*loader, 1, Steps(samples.size(), 8)).size(), samples.size());
    for (const uint32_t i : samples) ++evaluated[manifest_.samples[i].key];
    const auto training = Loader::Create(Options()).value();
    EXPECT_EQ(training->num_samples() + samples.size(), whole.samples.size());
    EXPECT_EQ(Epoch(*training, 1, Steps(training->num_samples(), 8)).size(),
              training->num_samples());
  }
  EXPECT_EQ(evaluated.size(), whole.samples.size());
}

TEST_F(LoaderTest, BatchesAreTheSameForAnyThreadsCacheAndQueue) {
  const auto reference = Loader::Create(Options()).value();
  const uint64_t n = reference->num_samples();
  const auto first = Epoch(*reference, 1, Steps(n, 8));
  const auto second = Epoch(*reference, 2, Steps(n, 8));
  ASSERT_EQ(first.size(), n);
  EXPECT_NE(first, second);
  for (int threads : {1, 3, 8}) {
    for (uint64_t cache_bytes : {uint64_t{0}, uint64_t{100'000}, uint64_t{1} << 30}) {
      LoaderOptions options = Options();
      options.threads = threads;
      options.cache_bytes = cache_bytes;
      options.queue_batches = threads == 3 ? 1 : 4;
      const auto loader = Loader::Create(options).value();
      EXPECT_EQ(Epoch(*loader, 1, Steps(n, 8)), first);
      EXPECT_EQ(Epoch(*loader, 2, Steps(n, 5)), second);
    }
  }
}

TEST_F(LoaderTest, ASharedCacheGivesTheSamePixelsAndIsWarmForLaterTrials) {
  const auto reference = Loader::Create(Options()).value();
  const uint64_t n = reference->num_samples();
  LoaderOptions options = Options();
  UseSharedCache(options);
  options.cache_bytes = 0;
  const auto first = Loader::Create(options).value();
  EXPECT_EQ(Epoch(*first, 1, Steps(n, 8)), Epoch(*reference, 1, Steps(n, 8)));
  EXPECT_EQ(Epoch(*first, 2, Steps(n, 8)), Epoch(*reference, 2, Steps(n, 8)));
  // Nothing is left to decode, so that it does not matter what the shards hold.
  for (const std::string& path : options.shard_paths) {
    dataset::Put(path, std::string(fs::file_size(path), 'x'));
  }
  const auto later = Loader::Create(options).value();
  EXPECT_EQ(Epoch(*later, 3, Steps(n, 8)).size(), n);
  EXPECT_EQ(Epoch(*later, 1, Steps(n, 8)), Epoch(*first, 1, Steps(n, 8)));
  // Pictures that go on to a device are decoded no more either, and the other way round.
  const auto device = std::make_shared<FakeStore>(1000);
  later->KeepIn(device);
  ASSERT_TRUE(later->StartEpoch(4, Steps(n, 8)).ok());
  for (uint64_t i = 0; i < n; i += 8) EXPECT_TRUE(later->Next().ok());
  EXPECT_EQ(device->usage().pictures, n);
}

TEST_F(LoaderTest, PicturesThatGoToADeviceAreKeptForOtherTrials) {
  LoaderOptions options = Options();
  UseSharedCache(options);
  std::vector<std::string> said;
  options.shared_cache.say = [&](const std::string& line) { said.push_back(line); };
  const auto loader = Loader::Create(options).value();
  const uint64_t n = loader->num_samples();
  loader->KeepIn(std::make_shared<FakeStore>(1000));
  ASSERT_TRUE(loader->StartEpoch(1, Steps(n, 8)).ok());
  for (uint64_t i = 0; i < n; i += 8) EXPECT_TRUE(loader->Next().ok());
  EXPECT_TRUE(Loader::Create(options).ok());
  EXPECT_THAT(said.back(), HasSubstr(std::to_string(n) + " of " + std::to_string(n) + " are in"));
}

TEST_F(LoaderTest, WithoutAUsableSharedCacheTheLoaderSaysSoAndWorks) {
  LoaderOptions options = Options();
  dataset::Put(dir_.Join("cache"), "a file");
  options.shared_cache.dir = dir_.Join("cache");
  options.shared_cache.limit_bytes = 1 << 30;
  options.shared_cache.dataset_digest = DigestOf(manifest_.ToJson());
  std::vector<std::string> said;
  options.shared_cache.say = [&](const std::string& line) { said.push_back(line); };
  const auto loader = Loader::Create(options).value();
  EXPECT_THAT(said, ::testing::ElementsAre(HasSubstr("each trial decodes for itself")));
  EXPECT_EQ(Epoch(*loader, 1, Steps(loader->num_samples(), 8)).size(), loader->num_samples());
}

TEST_F(LoaderTest, PlansForStoredPicturesGiveThePixelsThatItWouldHaveGiven) {
  const auto reference = Loader::Create(Options()).value();
  const uint64_t n = reference->num_samples();
  for (const size_t most : {size_t{0}, size_t{10}, size_t{1000}}) {
    const auto loader = Loader::Create(Options()).value();
    const auto store = std::make_shared<FakeStore>(most);
    loader->KeepIn(store);
    for (uint64_t epoch = 1; epoch <= 3; ++epoch) {
      const auto expected = Epoch(*reference, epoch, Steps(n, 8));
      ASSERT_TRUE(loader->StartEpoch(epoch, Steps(n, 8)).ok());
      size_t plans = 0;
      for (uint64_t first = 0; first < n; first += 8) {
        const Batch batch = loader->Next().value();
        ASSERT_EQ(batch.planned.size(), batch.indices.size());
        for (size_t i = 0; i < batch.indices.size(); ++i) {
          std::vector<uint8_t> pixels(kPictureBytes);
          if (batch.planned[i].picture != PlannedPicture::kNone) {
            ++plans;
            EXPECT_EQ(batch.planned[i].picture, static_cast<int64_t>(batch.indices[i]));
            store->Render(batch.planned[i], pixels.data());
          } else {
            std::copy_n(batch.pixels.begin() + static_cast<ptrdiff_t>(i * kPictureBytes),
                        kPictureBytes, pixels.begin());
          }
          EXPECT_EQ(pixels, expected.at(batch.indices[i])) << "epoch " << epoch;
        }
        if (epoch > 1 && most >= n) {
          EXPECT_TRUE(batch.pixels.empty());
        }
      }
      EXPECT_EQ(plans, std::min<size_t>(most, n));
    }
    EXPECT_EQ(store->usage().pictures, std::min<size_t>(most, n));
  }
}

TEST_F(LoaderTest, EvaluationTakesNoNoticeOfAStore) {
  const auto loader = Loader::Create(Options(Split::kVal)).value();
  const auto store = std::make_shared<FakeStore>(1000);
  loader->KeepIn(store);
  ASSERT_TRUE(loader->StartEpoch(1, Steps(loader->num_samples(), 4)).ok());
  const Batch batch = loader->Next().value();
  EXPECT_TRUE(batch.planned.empty());
  EXPECT_EQ(batch.pixels.size(), 4 * kPictureBytes);
  EXPECT_EQ(store->usage().pictures, 0u);
}

TEST_F(LoaderTest, ThePositionBoxIsTreatedInTrainingAndEvaluation) {
  dataset::SynthOptions synth;
  synth.out_dir = dir_.Join("drawn");
  synth.images_per_class = 5;
  synth.size = 96;
  ASSERT_TRUE(dataset::SynthesizeDataset(synth).ok());
  dataset::BuildOptions build;
  build.name = "drawn";
  build.path = synth.out_dir;
  build.out_dir = dir_.Join("out");
  manifest_ = dataset::BuildDataset(build).value();
  dataset::ImageDecoder decoder;
  for (const Split split : {Split::kTrain, Split::kVal}) {
    for (const PositionBox treatment : {PositionBox::kMask, PositionBox::kCrop}) {
      LoaderOptions options = Options(split);
      options.augment.position_box = treatment;
      UseSharedCache(options);  // which tells the treatments apart
      const auto loader = Loader::Create(options).value();
      const auto pictures = Epoch(*loader, 1, Steps(loader->num_samples(), 8));
      const std::vector<uint32_t> samples = manifest_.SamplesOf(split);
      const int min_side = DecodeSideFor(
          split == Split::kTrain ? options.augment : AugmentOptions{.position_box = treatment},
          kSize);
      int treated = 0;
      for (uint64_t i = 0; i < samples.size(); ++i) {
        const dataset::Sample& sample = manifest_.samples[samples[i]];
        const std::string file = ReadFile(fs::path(synth.out_dir) / sample.key).value();
        dataset::Image image =
            decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, min_side)
                .value();
        const std::vector<uint8_t> before = image.pixels;
        const PictureSize size =
            TreatPositionBox(treatment, {image.width, image.height}, image.pixels);
        image.width = size.width;
        image.height = size.height;
        treated += image.pixels != before ? 1 : 0;
        std::vector<uint8_t> expected(kPictureBytes);
        if (split == Split::kVal) {
          ResizeCentreCropInto(image.pixels.data(), size, kSize, expected.data());
        } else {
          RenderAugmented(image.pixels.data(), size,
                          DrawAugmentation({7, 1, i}, options.augment, size, kSize), kSize,
                          expected.data());
        }
        EXPECT_EQ(pictures.at(i), expected) << sample.key;
      }
      EXPECT_GT(treated, 0);
    }
  }
}

TEST_F(LoaderTest, RanksTogetherSeeWhatOneRankSees) {
  const auto reference = Loader::Create(Options()).value();
  const uint64_t n = reference->num_samples();
  const auto expected = Epoch(*reference, 3, Steps(n, 8));
  const EpochPlan plan(
      EpochPlanOptions{.num_samples = n, .seed = 7, .epoch = 3, .batch_size = 10, .world_size = 3});
  std::map<uint64_t, std::vector<uint8_t>> together;
  size_t pictures = 0;
  for (uint32_t rank = 0; rank < 3; ++rank) {
    std::vector<std::vector<uint64_t>> steps;
    for (uint64_t step = 0; step < plan.steps(); ++step) {
      const auto slice = plan.Slice(step, rank);
      steps.emplace_back(slice.begin(), slice.end());
    }
    const auto loader = Loader::Create(Options()).value();
    const auto mine = Epoch(*loader, 3, steps);
    pictures += mine.size();
    together.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(pictures, n);
  EXPECT_EQ(together, expected);
}

// An epoch of balanced classes uses some pictures several times.
TEST_F(LoaderTest, EveryTurnOfAPictureLooksOtherwise) {
  const auto loader = Loader::Create(Options()).value();
  ASSERT_TRUE(loader->StartEpoch(1, {{3, 3}, {3}}).ok());
  const Batch same = loader->Next().value();
  const std::vector<uint8_t> first = loader->Next().value().pixels;
  ASSERT_TRUE(loader->StartEpoch(1, {{3, 3}, {3}}, {{0, 1}, {2}}).ok());
  const Batch turns = loader->Next().value();
  const std::vector<uint8_t> third = loader->Next().value().pixels;
  const auto picture = [](const Batch& batch, size_t place) {
    const auto begin = batch.pixels.begin() + static_cast<std::ptrdiff_t>(place * kPictureBytes);
    return std::vector<uint8_t>(begin, begin + static_cast<std::ptrdiff_t>(kPictureBytes));
  };
  EXPECT_EQ(picture(same, 0), first);
  EXPECT_EQ(picture(same, 1), first);
  EXPECT_EQ(picture(turns, 0), first);
  EXPECT_NE(picture(turns, 1), first);
  EXPECT_NE(third, first);
  EXPECT_NE(third, picture(turns, 1));
  EXPECT_EQ(loader->StartEpoch(1, {{3, 3}}, {{0}}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LoaderTest, EmptyStepsGiveEmptyBatchesInTheirPlace) {
  const auto loader = Loader::Create(Options()).value();
  ASSERT_TRUE(loader->StartEpoch(1, {{}, {3, 1}, {}, {}, {2}, {}}).ok());
  for (int size : {0, 2, 0, 0, 1, 0}) EXPECT_EQ(loader->Next().value().size, size);
  ASSERT_TRUE(loader->StartEpoch(2, {}).ok());
  EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(LoaderTest, MayBeStoppedOrRestartedAtAnyTime) {
  for (size_t taken = 0; taken < 6; ++taken) {
    LoaderOptions options = Options();
    options.threads = 4;
    options.queue_batches = 2;
    const auto loader = Loader::Create(options).value();
    for (uint64_t epoch = 1; epoch < 8; ++epoch) {
      ASSERT_TRUE(loader->StartEpoch(epoch, Steps(loader->num_samples(), 4)).ok());
      for (size_t i = 0; i < taken; ++i) {
        const Batch batch = loader->Next().value();
        EXPECT_EQ(batch.indices[0], 4 * i);
      }
    }
  }
}

TEST_F(LoaderTest, AnUnreadablePictureIsNamedAndTheRestGoesOn) {
  LoaderOptions options = Options();
  const std::vector<uint32_t> samples = manifest_.SamplesOf(Split::kTrain);
  // The content of one JPEG in the second step is overwritten in its shard.
  size_t victim = 8;
  while (!manifest_.samples[samples[victim]].key.ends_with(".jpg")) ++victim;
  ASSERT_LT(victim, 16u);
  const dataset::Sample& sample = manifest_.samples[samples[victim]];
  const std::string path = options.shard_paths[sample.shard];
  std::string shard = ReadFile(path).value();
  std::fill_n(shard.begin() + static_cast<std::ptrdiff_t>(sample.offset + sample.size / 2),
              sample.size / 2, 'x');
  dataset::Put(path, shard);

  const auto loader = Loader::Create(options).value();
  ASSERT_TRUE(loader->StartEpoch(1, Steps(loader->num_samples(), 8)).ok());
  EXPECT_TRUE(loader->Next().ok());
  const absl::Status status = loader->Next().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(sample.key), HasSubstr(path), HasSubstr("corrupt JPEG")));
  EXPECT_TRUE(loader->Next().ok());
}

TEST_F(LoaderTest, ShardsThatAreNotThereOrNotWholeAreNamed) {
  LoaderOptions options = Options();
  options.shard_paths[0] = dir_.Join("nowhere.tar");
  EXPECT_THAT(Loader::Create(options).status().ToString(),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("nowhere.tar")));
  // A shard of the other split is never opened.
  EXPECT_TRUE(Loader::Create([&] {
                LoaderOptions val = Options(Split::kVal);
                val.shard_paths[0] = "";
                return val;
              }())
                  .ok());
  const std::string shard = ReadFile(Options().shard_paths[0]).value();
  dataset::Put(dir_.Join("cut.tar"), shard.substr(0, shard.size() - 1));
  options.shard_paths[0] = dir_.Join("cut.tar");
  EXPECT_THAT(Loader::Create(options).status().ToString(),
              AllOf(HasSubstr("DATA_LOSS"), HasSubstr("cut.tar")));
}

TEST_F(LoaderTest, WrongUseIsAnErrorNotACrash) {
  const auto loader = Loader::Create(Options()).value();
  EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(loader->StartEpoch(1, {{0, loader->num_samples()}}).code(),
            absl::StatusCode::kOutOfRange);
  const auto refused = [&](auto change) {
    LoaderOptions options = Options();
    change(options);
    return Loader::Create(options).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.manifest = nullptr; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.threads = 0; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.image_size = 0; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.queue_batches = 0; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.augment.crop_lo = 0; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.augment.rotate = 181; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.augment.lighting = -0.1; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.augment.erasing = 1.1; }));
  EXPECT_TRUE(refused([](LoaderOptions& o) { o.shard_paths.pop_back(); }));
}

TEST_F(LoaderTest, RealPicturesAtTheirTrueSizesGoThrough) {
  const fs::path shared = testing::SharedDir();
  if (shared.empty()) GTEST_SKIP() << "NOT RUN: no ../shared (set MEAD_SHARED)";
  // Two made-up classes of the Kvasir polyps.
  int i = 0;
  for (const auto& entry : fs::directory_iterator(shared / "data/kvasir-polyps")) {
    const fs::path folder = dir_.path() / "kvasir" / (i++ % 2 == 0 ? "a" : "b");
    fs::create_directories(folder);
    fs::copy(entry.path(), folder / entry.path().filename());
  }
  dataset::BuildOptions build;
  build.name = "kvasir";
  build.path = dir_.Join("kvasir");
  build.out_dir = dir_.Join("kvasir-out");
  manifest_ = dataset::BuildDataset(build).value();
  EXPECT_EQ(manifest_.samples.size(), 200u);
  EXPECT_TRUE(manifest_.quarantined.empty());
  LoaderOptions options = Options();
  options.shard_paths.clear();
  for (size_t s = 0; s < manifest_.shards.size(); ++s) {
    options.shard_paths.push_back(dir_.Join("kvasir-out/" + ShardFileName(manifest_, s)));
  }
  const auto loader = Loader::Create(options).value();
  EXPECT_EQ(Epoch(*loader, 1, Steps(loader->num_samples(), 32)).size(), 160u);
}

}  // namespace
}  // namespace mead::data
