#include "worker/train/state/torch_state.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "worker/train/state/file_format.h"

namespace mead::train {
namespace {

using Kind = PickleKind;

constexpr size_t kMaxDimensions = 64;  // LibTorch's
constexpr size_t kMaxNameBytes = 1024;
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor";  // before 0.4
constexpr std::string_view kRebuildTensorV2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

constexpr auto kGlobals = std::to_array<std::string_view>(
    {"collections.OrderedDict", kRebuildTensor, kRebuildTensorV2, kRebuildParameter,
     "torch.BFloat16Storage", "torch.BoolStorage", "torch.ByteStorage", "torch.CharStorage",
     "torch.DoubleStorage", "torch.FloatStorage", "torch.HalfStorage", "torch.IntStorage",
     "torch.LongStorage", "torch.ShortStorage"});

std::optional<DType> DTypeOf(std::string_view storage) {
  if (storage == "torch.BFloat16Storage") return DType::kBF16;
  if (storage == "torch.BoolStorage") return DType::kBool;
  if (storage == "torch.ByteStorage") return DType::kU8;
  if (storage == "torch.CharStorage") return DType::kI8;
  if (storage == "torch.DoubleStorage") return DType::kF64;
  if (storage == "torch.FloatStorage") return DType::kF32;
  if (storage == "torch.HalfStorage") return DType::kF16;
  if (storage == "torch.IntStorage") return DType::kI32;
  if (storage == "torch.LongStorage") return DType::kI64;
  if (storage == "torch.ShortStorage") return DType::kI16;
  return std::nullopt;
}

// Where training scripts keep the state_dict, and what wrappers of a model (DataParallel,
// torch.compile, Lightning) put before its names.
constexpr std::array<std::string_view, 3> kNests = {"state_dict", "model_state_dict", "model"};
constexpr std::array<std::string_view, 3> kPrefixes = {"module.", "_orig_mod.", "model."};

class StateReader {
 public:
  StateReader(const Pickle& pickle, const std::string& path) : pickle_(pickle), path_(path) {}

  TorchState Read() {
    for (const PickleValue& value : pickle_.values) {
      if (value.kind == Kind::kPersistent) AddStorage(value);
    }
    const PickleValue& state = FindState();
    for (size_t i = 0; i < state.items.size(); i += 2) {
      const PickleValue& name = pickle_[state.items[i]];
      const PickleValue& value = pickle_[state.items[i + 1]];
      if (!IsTensor(value)) continue;  // such as _extra_state
      if (name.kind != Kind::kText || name.text.size() > kMaxNameBytes) {
        Fail("a tensor whose name is no text of up to " + std::to_string(kMaxNameBytes) + " bytes",
             name.at);
      }
      if (!state_.tensors.emplace(Printable(name.text), View(Unwrapped(value))).second) {
        Fail("tensor '" + name.text + "' comes twice", name.at);
      }
    }
    for (size_t i = 0; i < kPrefixes.size() && RemovePrefix(); ++i) {
    }
    return std::move(state_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what, int64_t at) const {
    FailFormat(path_, kTorchFormat, what, at);
  }

  static bool IsTensor(const PickleValue& value) {
    return value.kind == Kind::kCall;  // no other call is accepted
  }

  bool HasTensors(const PickleValue& dict) const {
    for (size_t i = 1; i < dict.items.size(); i += 2) {
      if (IsTensor(pickle_[dict.items[i]])) return true;
    }
    return false;
  }

  const PickleValue& FindState() {
    const PickleValue& root = pickle_[pickle_.root];
    if (root.kind != Kind::kDict) Fail("it holds no mapping of names to tensors", root.at);
    if (HasTensors(root)) return root;
    for (const std::string_view nest : kNests) {
      for (size_t i = 0; i < root.items.size(); i += 2) {
        const PickleValue& inner = pickle_[root.items[i + 1]];
        if (pickle_[root.items[i]].text == nest && inner.kind == Kind::kDict && HasTensors(inner)) {
          Note("found under '" + std::string(nest) + "'");
          return inner;
        }
      }
    }
    Fail("it holds no tensors by name, nor under 'state_dict', 'model_state_dict' or 'model'",
         root.at);
  }

  bool RemovePrefix() {
    for (const std::string_view prefix : kPrefixes) {
      if (std::all_of(state_.tensors.begin(), state_.tensors.end(),
                      [&](const auto& tensor) { return tensor.first.starts_with(prefix); })) {
        std::map<std::string, TorchView> bare;
        for (auto& [name, view] : state_.tensors) {
          bare.emplace(name.substr(prefix.size()), std::move(view));
        }
        state_.tensors = std::move(bare);
        Note("'" + std::string(prefix) + "' taken off every name");
        return true;
      }
    }
    return false;
  }

  void Note(const std::string& what) { state_.note += (state_.note.empty() ? "" : ", ") + what; }

  // ("storage", torch.FloatStorage, key, device, elements[, view]).
  void AddStorage(const PickleValue& value) {
    const std::vector<PickleId>& parts = pickle_[value.items[0]].items;
    if (parts.size() < 5 || parts.size() > 6 || pickle_[parts[0]].text != "storage" ||
        pickle_[parts[2]].kind != Kind::kText || pickle_[parts[4]].kind != Kind::kInt ||
        pickle_[parts[4]].integer < 0) {
      Fail("a reference to data that is none of torch's", value.at);
    }
    const std::optional<DType> dtype = DTypeOf(pickle_[parts[1]].text);
    if (!dtype.has_value()) Fail("data of no known type", value.at);
    if (parts.size() == 6 && pickle_[parts[5]].kind != Kind::kNone) {
      Fail("data that is a view of other data, as before torch 0.4", value.at);
    }
    const TorchStorage storage = {
        .dtype = *dtype, .elements = pickle_[parts[4]].integer, .at = value.at};
    const auto [found, added] = state_.storages.emplace(pickle_[parts[2]].text, storage);
    if (!added && (found->second.dtype != *dtype || found->second.elements != storage.elements)) {
      Fail("data '" + found->first + "' is described in two ways", value.at);
    }
  }

  const std::vector<PickleId>& Arguments(const PickleValue& call) const {
    return pickle_[call.items[0]].items;
  }

  // The tensor of a parameter: (tensor, requires_grad, hooks).
  const PickleValue& Unwrapped(const PickleValue& value) const {
    if (value.text != kRebuildParameter) return value;
    const std::vector<PickleId>& arguments = Arguments(value);
    if (arguments.empty() || pickle_[arguments[0]].kind != Kind::kCall ||
        pickle_[arguments[0]].text == kRebuildParameter) {
      Fail("a parameter that is no tensor", value.at);
    }
    return pickle_[arguments[0]];
  }

  // (storage, offset, shape, strides[, requires_grad, hooks[, metadata]]).
  TorchView View(const PickleValue& value) const {
    const std::vector<PickleId>& parts = Arguments(value);
    if (parts.size() < 4 || pickle_[parts[0]].kind != Kind::kPersistent ||
        pickle_[parts[1]].kind != Kind::kInt) {
      Fail("a tensor that is not made as torch makes them", value.at);
    }
    if (parts.size() > 6 && !pickle_[parts[6]].items.empty()) {
      Fail("a tensor whose values are kept negated or conjugated", value.at);
    }
    TorchView view;
    // AddStorage has looked at it.
    view.storage = pickle_[pickle_[pickle_[parts[0]].items[0]].items[2]].text;
    const TorchStorage& storage = state_.storages.at(view.storage);
    view.dtype = storage.dtype;
    view.offset = pickle_[parts[1]].integer;
    view.shape = Sizes(pickle_[parts[2]]);
    view.strides = Sizes(pickle_[parts[3]]);
    if (view.shape.size() != view.strides.size() || view.shape.size() > kMaxDimensions) {
      Fail(
          "a tensor of shape " + ShapeText(view.shape) + " with strides " + ShapeText(view.strides),
          value.at);
    }
    SetSpan(view, value.at);
    if (view.offset < 0 || view.offset > storage.elements ||
        view.span > storage.elements - view.offset) {
      Fail("a tensor of shape " + ShapeText(view.shape) + ", strides " + ShapeText(view.strides) +
               " and offset " + std::to_string(view.offset) + " reaches beyond its " +
               std::to_string(storage.elements) + " numbers",
           value.at);
    }
    return view;
  }

  std::vector<int64_t> Sizes(const PickleValue& tuple) const {
    std::vector<int64_t> sizes;
    if (tuple.kind != Kind::kTuple) Fail("a tensor's shape or strides are no tuple", tuple.at);
    for (const PickleId id : tuple.items) {
      const PickleValue& size = pickle_[id];
      if (size.kind != Kind::kInt || size.integer < 0 || sizes.size() == kMaxDimensions) {
        Fail("a tensor's shape or strides are not up to 64 numbers, none of them negative",
             tuple.at);
      }
      sizes.push_back(size.integer);
    }
    return sizes;
  }

  // Sets strides that nothing steps by to zero.
  void SetSpan(TorchView& view, int64_t at) const {
    const int64_t most = std::numeric_limits<int64_t>::max() / DTypeBytes(view.dtype);
    if (std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end()) return;
    int64_t last = 0;
    int64_t elements = 1;
    for (size_t i = 0; i < view.shape.size(); ++i) {
      const int64_t steps = view.shape[i] - 1;
      const int64_t stride = view.strides[i];
      if (elements > most / view.shape[i] || (steps > 0 && stride > (most - 1 - last) / steps)) {
        Fail("a tensor of shape " + ShapeText(view.shape) + " with strides " +
                 ShapeText(view.strides) + " is too large",
             at);
      }
      if (steps == 0) view.strides[i] = 0;
      elements *= view.shape[i];
      last += steps * stride;
    }
    view.span = last + 1;
  }

  const Pickle& pickle_;
  const std::string& path_;
  TorchState state_;
};

}  // namespace

std::span<const std::string_view> TorchGlobals() { return kGlobals; }

TorchState ReadTorchState(const Pickle& pickle, const std::string& path) {
  return StateReader(pickle, path).Read();
}

}  // namespace mead::train
