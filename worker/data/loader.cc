#include "worker/data/loader.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <opencv2/core/utility.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/augment/position_box.h"
#include "common/augment/render.h"
#include "common/dataset/image.h"
#include "common/status_util.h"
#include "worker/data/centre_crop.h"
#include "worker/data/decoded_store.h"
#include "worker/data/shard_reader.h"

namespace mead::data {
namespace {

using dataset::Split;

absl::Status CheckOptions(const LoaderOptions& o) {
  const auto invalid = [](const std::string& what) { return absl::InvalidArgumentError(what); };
  if (o.manifest == nullptr) return invalid("the loader needs a manifest");
  if (o.image_size < 16 || o.image_size > 2048) {
    return invalid(absl::StrCat("image_size is ", o.image_size, ": expected 16 to 2048"));
  }
  if (o.threads < 1 || o.threads > 256) {
    return invalid(absl::StrCat("loader threads are ", o.threads, ": expected 1 to 256"));
  }
  if (o.queue_batches < 1) return invalid("queue_batches is 0: expected at least 1");
  const std::string problem = ProblemOf(o.augment);
  return problem.empty() ? absl::OkStatus() : invalid(problem);
}

// What the cache of decoded pictures must tell apart; change the words with position_box.cc.
std::string VariantOf(PositionBox position_box) {
  switch (position_box) {
    case PositionBox::kKeep:
      return "";
    case PositionBox::kMask:
      return "position box masked";
    case PositionBox::kCrop:
      return "position box cut off";
  }
  return "";
}

}  // namespace

class Loader::Impl {
 public:
  Impl(const LoaderOptions& options, ShardReader reader)
      : options_(options),
        samples_(options.manifest->SamplesOf(options.split)),
        augments_(options.split == Split::kTrain && options.augment_train),
        decode_side_(
            DecodeSideFor(augments_ ? options.augment
                                    : AugmentOptions{.position_box = options.augment.position_box},
                          options.image_size)),
        picture_bytes_(size_t{3} * static_cast<size_t>(options.image_size) *
                       static_cast<size_t>(options.image_size)),
        reader_(std::move(reader)),
        decoded_(
            OpenDecodedStore(*options.manifest,
                             {options.split, decode_side_, VariantOf(options.augment.position_box)},
                             options.shared_cache, options.cache_bytes)) {
    for (int i = 0; i < options.threads; ++i) {
      workers_.emplace_back([this] { Work(); });
    }
  }

  // The workers, declared last, are joined after this, each at the end of its picture.
  ~Impl() {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }

  void KeepIn(std::shared_ptr<PictureStore> store);
  absl::Status StartEpoch(uint64_t epoch, std::vector<std::vector<uint64_t>> steps,
                          std::vector<std::vector<uint64_t>> turns);
  absl::StatusOr<Batch> Next();
  uint64_t num_samples() const { return samples_.size(); }

 private:
  // A batch in work. Workers fill disjoint parts of its pixels and plans without the lock; the
  // counters and the status are guarded by mutex_.
  struct Slot {
    uint64_t epoch = 0;
    std::shared_ptr<PictureStore> store;  // or none
    Batch batch;
    std::vector<uint64_t> turns;  // [n], or empty: all 0
    std::vector<size_t> places;   // of pictures to make: those that are not planned already
    size_t claimed = 0;           // of places, given to workers
    size_t finished = 0;          // of places, done, well or not
    size_t failed_at = SIZE_MAX;  // the lowest place that failed, so that the error is reproducible
    absl::Status status;
  };

  bool CanClaim() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return filling_ != nullptr && filling_->claimed < filling_->places.size();
  }
  bool CanOpen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !opening_ && next_step_ < steps_.size() && window_.size() < options_.queue_batches;
  }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || CanClaim() || CanOpen();
  }
  bool FrontIsReady() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !window_.empty() && window_.front()->finished == window_.front()->places.size();
  }

  void Work();
  void OpenNextStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Prepare(Slot& slot) const;
  const dataset::Sample& SampleOf(uint64_t index) const {
    return options_.manifest->samples[samples_[index]];
  }
  AugmentPlan Draw(const Slot& slot, size_t place, PictureSize size) const {
    const AugmentKey key{.seed = options_.seed,
                         .epoch = slot.epoch,
                         .sample = slot.batch.indices[place],
                         .turn = slot.turns.empty() ? 0 : slot.turns[place]};
    return DrawAugmentation(key, options_.augment, size, options_.image_size);
  }
  absl::Status MakePicture(Slot& slot, size_t place, dataset::ImageDecoder& decoder,
                           std::vector<uint8_t>& file);

  // Constant after construction.
  const LoaderOptions options_;
  const std::vector<uint32_t> samples_;  // of the split, into manifest->samples
  const bool augments_;
  const int decode_side_;
  const size_t picture_bytes_;
  const ShardReader reader_;
  const std::unique_ptr<DecodedStore> decoded_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;  // counts StartEpoch calls
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<PictureStore> store_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<uint64_t>> steps_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<uint64_t>> turns_ ABSL_GUARDED_BY(mutex_);  // as steps_, or empty
  size_t next_step_ ABSL_GUARDED_BY(mutex_) = 0;                      // the next to open
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;                          // by the consumer
  bool opening_ ABSL_GUARDED_BY(mutex_) = false;  // a worker is allocating the next slot
  std::deque<std::shared_ptr<Slot>> window_ ABSL_GUARDED_BY(mutex_);  // in step order
  std::shared_ptr<Slot> filling_ ABSL_GUARDED_BY(mutex_);             // the last of window_

  std::vector<std::jthread> workers_;
};

void Loader::Impl::KeepIn(std::shared_ptr<PictureStore> store) {
  if (!augments_) return;
  const absl::MutexLock lock(&mutex_);
  store_ = std::move(store);
}

absl::Status Loader::Impl::StartEpoch(uint64_t epoch, std::vector<std::vector<uint64_t>> steps,
                                      std::vector<std::vector<uint64_t>> turns) {
  for (size_t i = 0; !turns.empty() && i < steps.size(); ++i) {
    if (i < turns.size() && turns[i].size() == steps[i].size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("step ", i, " has ", steps[i].size(), " samples and not as many turns"));
  }
  for (const std::vector<uint64_t>& step : steps) {
    for (uint64_t index : step) {
      if (index < samples_.size()) continue;
      return absl::OutOfRangeError(
          absl::StrCat("sample ", index, " of a ", std::string(dataset::SplitName(options_.split)),
                       " split of ", samples_.size(), ": the plan was made for another data set"));
    }
  }
  const absl::MutexLock lock(&mutex_);
  started_ = true;
  ++generation_;
  epoch_ = epoch;
  steps_ = std::move(steps);
  turns_ = std::move(turns);
  next_step_ = 0;
  taken_ = 0;
  window_.clear();
  filling_.reset();
  return absl::OkStatus();
}

absl::StatusOr<Batch> Loader::Impl::Next() {
  const absl::MutexLock lock(&mutex_);
  if (!started_) return absl::FailedPreconditionError("no epoch was started: call StartEpoch");
  if (taken_ == steps_.size()) {
    return absl::OutOfRangeError(absl::StrCat("the epoch has only ", steps_.size(), " steps"));
  }
  mutex_.Await(absl::Condition(this, &Impl::FrontIsReady));
  const std::shared_ptr<Slot> slot = window_.front();
  window_.pop_front();
  ++taken_;
  if (!slot->status.ok()) return slot->status;
  return std::move(slot->batch);
}

// Leaves the lock while it allocates, which for a batch of large pictures takes a while.
void Loader::Impl::OpenNextStep() {
  opening_ = true;
  const uint64_t generation = generation_;
  auto slot = std::make_shared<Slot>();
  slot->epoch = epoch_;
  slot->store = store_;
  if (!turns_.empty()) slot->turns = std::move(turns_[next_step_]);
  slot->batch.indices = std::move(steps_[next_step_++]);
  mutex_.Unlock();
  Prepare(*slot);
  mutex_.Lock();
  opening_ = false;
  if (generation != generation_) return;  // another epoch was started meanwhile
  filling_ = slot;
  window_.push_back(std::move(slot));
}

// Leaves to the workers what the store does not hold.
void Loader::Impl::Prepare(Slot& slot) const {
  Batch& batch = slot.batch;
  const size_t n = batch.indices.size();
  batch.size = static_cast<int>(n);
  batch.labels.resize(n);
  if (slot.store != nullptr) batch.planned.resize(n);
  for (size_t place = 0; place < n; ++place) {
    const uint64_t index = batch.indices[place];
    batch.labels[place] = static_cast<int32_t>(SampleOf(index).class_id);
    const std::optional<PictureSize> size =
        slot.store == nullptr ? std::nullopt : slot.store->Find(index);
    if (size.has_value()) {
      batch.planned[place] = {static_cast<int64_t>(index), Draw(slot, place, *size)};
    } else {
      slot.places.push_back(place);
    }
  }
  if (!slot.places.empty()) batch.pixels.resize(n * picture_bytes_);
}

void Loader::Impl::Work() {
  dataset::ImageDecoder decoder;
  std::vector<uint8_t> file;
  const absl::MutexLock lock(&mutex_);
  for (;;) {
    mutex_.Await(absl::Condition(this, &Impl::HasWork));
    if (stopping_) return;
    if (!CanClaim()) {
      OpenNextStep();
      continue;
    }
    const std::shared_ptr<Slot> slot = filling_;
    const size_t place = slot->places[slot->claimed++];
    mutex_.Unlock();
    absl::Status status = MakePicture(*slot, place, decoder, file);
    mutex_.Lock();
    if (!status.ok() && place < slot->failed_at) {
      slot->failed_at = place;
      slot->status = std::move(status);
    }
    ++slot->finished;
  }
}

absl::Status Loader::Impl::MakePicture(Slot& slot, size_t place, dataset::ImageDecoder& decoder,
                                       std::vector<uint8_t>& file) {
  const uint64_t index = slot.batch.indices[place];
  const dataset::Sample& sample = SampleOf(index);
  uint8_t* const out = slot.batch.pixels.data() + place * picture_bytes_;
  try {
    std::optional<DecodedPicture> picture = decoded_->Find(index);
    const bool is_new = !picture.has_value();
    if (is_new) {
      MEAD_RETURN_IF_ERROR(reader_.Read(sample, file));
      absl::StatusOr<dataset::Image> decoded = decoder.Decode(file, decode_side_);
      if (!decoded.ok()) {
        return absl::DataLossError(absl::StrCat(reader_.Describe(sample),
                                                " cannot be decoded: ", decoded.status().message(),
                                                ": fetch the shard again"));
      }
      const PictureSize treated = TreatPositionBox(
          options_.augment.position_box, {decoded->width, decoded->height}, decoded->pixels);
      decoded->width = treated.width;
      decoded->height = treated.height;
      const auto image = std::make_shared<const dataset::Image>(*std::move(decoded));
      picture = {{image->width, image->height}, image->pixels.data(), image};
    }
    const PictureSize size = picture->size;
    if (slot.store != nullptr && slot.store->Keep(index, size, picture->pixels)) {
      if (is_new) decoded_->KeepForOthers(index, picture->holder);
      slot.batch.planned[place] = {static_cast<int64_t>(index), Draw(slot, place, size)};
      return absl::OkStatus();
    }
    if (is_new) decoded_->Keep(index, picture->holder);
    if (augments_) {
      RenderAugmented(picture->pixels, size, Draw(slot, place, size), options_.image_size, out);
    } else {
      ResizeCentreCropInto(picture->pixels, size, options_.image_size, out);
    }
  } catch (const std::exception& error) {  // OpenCV's, the store's, and no memory
    return absl::InternalError(absl::StrCat(reader_.Describe(sample), ": ", error.what()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Loader>> Loader::Create(const LoaderOptions& options) {
  MEAD_RETURN_IF_ERROR(CheckOptions(options));
  MEAD_ASSIGN_OR_RETURN(ShardReader reader,
                        ShardReader::Open(*options.manifest, options.shard_paths, options.split));
  // The loader's threads are all the parallelism; OpenCV's own pool would only get in their way.
  cv::setNumThreads(1);
  return std::unique_ptr<Loader>(new Loader(std::make_unique<Impl>(options, std::move(reader))));
}

Loader::Loader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loader::~Loader() = default;

void Loader::KeepIn(std::shared_ptr<PictureStore> store) { impl_->KeepIn(std::move(store)); }

absl::Status Loader::StartEpoch(uint64_t epoch, std::vector<std::vector<uint64_t>> steps,
                                std::vector<std::vector<uint64_t>> turns) {
  return impl_->StartEpoch(epoch, std::move(steps), std::move(turns));
}

absl::StatusOr<Batch> Loader::Next() { return impl_->Next(); }

uint64_t Loader::num_samples() const { return impl_->num_samples(); }

}  // namespace mead::data
