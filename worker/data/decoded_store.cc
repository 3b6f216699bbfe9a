#include "worker/data/decoded_store.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/data/mapped_store.h"
#include "worker/data/memory_store.h"

namespace mead::data {
namespace {

// What the first has no room for goes to the second.
class LayeredStore : public DecodedStore {
 public:
  LayeredStore(std::unique_ptr<DecodedStore> first, std::unique_ptr<DecodedStore> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::optional<DecodedPicture> Find(size_t picture) override {
    if (auto found = second_->Find(picture)) return found;
    return first_->Find(picture);
  }
  bool Keep(size_t picture, const std::shared_ptr<const dataset::Image>& image) override {
    return first_->Keep(picture, image) || second_->Keep(picture, image);
  }
  bool KeepForOthers(size_t picture, const std::shared_ptr<const dataset::Image>& image) override {
    return first_->KeepForOthers(picture, image);
  }

 private:
  const std::unique_ptr<DecodedStore> first_;
  const std::unique_ptr<DecodedStore> second_;
};

}  // namespace

std::unique_ptr<DecodedStore> OpenDecodedStore(const dataset::Manifest& manifest,
                                               const DecodedKind& kind,
                                               const DecodedCacheOptions& cache,
                                               uint64_t memory_bytes) {
  const std::vector<uint32_t> samples = manifest.SamplesOf(kind.split);
  auto memory = std::make_unique<MemoryStore>(samples.size(), memory_bytes);
  if (cache.dir.empty() || cache.limit_bytes == 0 || samples.empty()) return memory;
  MappedStoreOptions options;
  options.cache = cache;
  options.kind = kind;
  for (const uint32_t sample : samples) {
    options.max_bytes.push_back(uint64_t{3} * manifest.samples[sample].width *
                                manifest.samples[sample].height);
  }
  absl::StatusOr<std::unique_ptr<MappedStore>> mapped = MappedStore::Open(options);
  if (!mapped.ok()) {
    cache.say(
        absl::StrCat("the node's cache of decoded pictures is not used, each trial decodes "
                     "for itself: ",
                     std::string(mapped.status().message())));
    return memory;
  }
  return std::make_unique<LayeredStore>(*std::move(mapped), std::move(memory));
}

}  // namespace mead::data
