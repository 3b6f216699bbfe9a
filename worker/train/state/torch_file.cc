#include "worker/train/state/torch_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "worker/train/state/file_format.h"
#include "worker/train/state/pickle.h"
#include "worker/train/state/torch_state.h"
#include "worker/train/state/zip_archive.h"

namespace mead::train {
namespace {

static_assert(std::endian::native == std::endian::little, "the data is read as little-endian");

using std::string_view_literals::operator""sv;

constexpr std::string_view kZipBegin = "PK\x03\x04"sv;
// The pickle of 0x1950a86a20f9469cfc6c.
constexpr std::string_view kMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;
constexpr int64_t kLegacyProtocol = 1001;

// By a storage's key, the byte of the file where its data begins.
using Places = std::map<std::string, int64_t>;

struct Contents {
  TorchState state;
  Places places;
};

bool BeginsWith(const ByteSource& source, std::string_view begin) {
  if (source.bytes() < static_cast<int64_t>(begin.size())) return false;
  std::string bytes(begin.size(), '\0');
  source.Read(0, bytes.data(), bytes.size());
  return bytes == begin;
}

[[noreturn]] void Fail(const ByteSource& source, const std::string& what, int64_t at) {
  FailFormat(source.path(), kTorchFormat, what, at);
}

[[noreturn]] void FailShort(const ByteSource& source, const std::string& key,
                            const TorchStorage& storage, int64_t at, int64_t bytes) {
  Fail(source,
       "data '" + key + "' is to hold " + std::to_string(storage.elements) + " numbers of " +
           std::to_string(DTypeBytes(storage.dtype)) + " bytes and has " + std::to_string(bytes) +
           " bytes",
       at);
}

bool Fits(const TorchStorage& storage, int64_t bytes) {
  return storage.elements <= bytes / DTypeBytes(storage.dtype);
}

Contents ReadZip(const ByteSource& source) {
  constexpr std::string_view kPickle = "/data.pkl";
  const std::map<std::string, ZipEntry> entries = ReadZipDirectory(source);
  const auto pickle = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.first.ends_with(kPickle);
  });
  if (pickle == entries.end()) Fail(source, "a zip archive without data.pkl", 0);
  const std::string prefix = pickle->first.substr(0, pickle->first.size() - kPickle.size() + 1);
  if (entries.contains(prefix + "constants.pkl")) {
    Fail(source, "a program of TorchScript, not a state_dict", 0);
  }
  if (const auto order = entries.find(prefix + "byteorder"); order != entries.end()) {
    constexpr std::string_view kLittle = "little";
    std::string text(kLittle.size(), '\0');
    if (order->second.bytes == static_cast<int64_t>(text.size())) {
      source.Read(order->second.begin, text.data(), text.size());
    }
    if (text != kLittle) {
      Fail(source, "its byteorder is not 'little'", order->second.begin);
    }
  }
  const int64_t begin = pickle->second.begin;
  Contents contents;
  contents.state = ReadTorchState(
      ReadPickle(source, begin, begin + pickle->second.bytes, TorchGlobals()), source.path());
  for (const auto& [key, storage] : contents.state.storages) {
    const auto entry = entries.find(prefix + "data/" + key);
    if (entry == entries.end()) Fail(source, "data '" + key + "' is missing", storage.at);
    if (!Fits(storage, entry->second.bytes)) {
      FailShort(source, key, storage, entry->second.begin, entry->second.bytes);
    }
    contents.places[key] = entry->second.begin;
  }
  return contents;
}

// The machine that wrote the file: {"little_endian": True, ...}.
bool IsLittleEndian(const Pickle& machine) {
  const std::vector<PickleId>& items = machine[machine.root].items;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (machine[items[i]].text == "little_endian") return machine[items[i + 1]].integer == 1;
  }
  return false;
}

// The storages' keys, in the order of their data.
std::vector<std::string> Keys(const ByteSource& source, const Pickle& keys) {
  std::vector<std::string> texts;
  const PickleValue& list = keys[keys.root];
  for (const PickleId id : list.items) {
    if (keys[id].kind != PickleKind::kText) Fail(source, "a key that is no text", list.at);
    texts.push_back(keys[id].text);
  }
  return texts;
}

Contents ReadLegacy(const ByteSource& source) {
  int64_t at = static_cast<int64_t>(kMagic.size());
  const auto next = [&](std::span<const std::string_view> globals) {
    Pickle pickle = ReadPickle(source, at, source.bytes(), globals);
    at = pickle.end;
    return pickle;
  };
  const Pickle version = next({});
  if (version[version.root].integer != kLegacyProtocol) {
    Fail(source, "version " + std::to_string(version[version.root].integer) + ", and 1001 is read",
         version[version.root].at);
  }
  if (const int64_t machine_at = at; !IsLittleEndian(next({}))) {
    Fail(source, "it was not written by a little-endian machine", machine_at);
  }
  Contents contents;
  contents.state = ReadTorchState(next(TorchGlobals()), source.path());
  for (const std::string& key : Keys(source, next({}))) {
    const auto storage = contents.state.storages.find(key);
    if (storage == contents.state.storages.end()) {
      Fail(source, "data '" + key + "' belongs to nothing", at);
    }
    int64_t elements = 0;
    source.Read(at, &elements, sizeof(elements));
    const int64_t begin = at + static_cast<int64_t>(sizeof(elements));
    const int64_t left = source.bytes() - begin;
    if (elements != storage->second.elements) {
      Fail(source,
           "data '" + key + "' is to hold " + std::to_string(storage->second.elements) +
               " numbers and has " + std::to_string(elements),
           at);
    }
    if (!Fits(storage->second, left)) FailShort(source, key, storage->second, begin, left);
    if (!contents.places.emplace(key, begin).second) {
      Fail(source, "data '" + key + "' comes twice", at);
    }
    at = begin + elements * DTypeBytes(storage->second.dtype);
  }
  for (const auto& [key, storage] : contents.state.storages) {
    if (!contents.places.contains(key)) Fail(source, "data '" + key + "' is missing", storage.at);
  }
  return contents;
}

// Of a tensor with elements.
bool IsDense(const TorchTensor& tensor) {
  int64_t stride = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.shape[i];
  }
  return true;
}

// Copies the elements of a view, which are kBytes each, to where they lie densely.
template <size_t kBytes>
void Gather(const TorchTensor& tensor, const char* from, char* to) {
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t at = 0;  // elements
  for (;;) {
    std::memcpy(to, from + at * static_cast<int64_t>(kBytes), kBytes);
    to += kBytes;
    size_t i = index.size();
    for (;;) {
      if (i == 0) return;
      --i;
      at += tensor.strides[i];
      if (++index[i] < tensor.shape[i]) break;
      at -= tensor.strides[i] * tensor.shape[i];
      index[i] = 0;
    }
  }
}

}  // namespace

bool TorchFile::Recognizes(const ByteSource& source) {
  return BeginsWith(source, kZipBegin) || BeginsWith(source, kMagic);
}

TorchFile TorchFile::Open(std::unique_ptr<const ByteSource> source) {
  TorchFile file(std::move(source));
  const ByteSource& bytes = *file.source_;
  if (!Recognizes(bytes)) {
    Fail(bytes, "it begins neither as a zip archive nor with torch.save's magic number", 0);
  }
  Contents contents = BeginsWith(bytes, kZipBegin) ? ReadZip(bytes) : ReadLegacy(bytes);
  for (auto& [name, view] : contents.state.tensors) {
    const int64_t element_bytes = DTypeBytes(view.dtype);
    file.tensors_[name] = {.dtype = view.dtype,
                           .shape = std::move(view.shape),
                           .strides = std::move(view.strides),
                           .begin = contents.places.at(view.storage) + view.offset * element_bytes,
                           .bytes = view.span * element_bytes};
  }
  file.note_ = std::move(contents.state.note);
  return file;
}

void TorchFile::Read(const TorchTensor& tensor, void* destination) const {
  const auto bytes = static_cast<size_t>(tensor.bytes);
  if (bytes == 0) return;
  if (IsDense(tensor)) {
    source_->Read(tensor.begin, destination, bytes);
    return;
  }
  std::vector<char> covered(bytes);
  source_->Read(tensor.begin, covered.data(), bytes);
  auto* to = static_cast<char*>(destination);
  switch (DTypeBytes(tensor.dtype)) {
    case 1:
      return Gather<1>(tensor, covered.data(), to);
    case 2:
      return Gather<2>(tensor, covered.data(), to);
    case 4:
      return Gather<4>(tensor, covered.data(), to);
    default:
      return Gather<8>(tensor, covered.data(), to);
  }
}

}  // namespace mead::train
