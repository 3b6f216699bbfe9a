#include "worker/train/state/weights.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "worker/train/state/file_format.h"
#include "worker/train/state/input_file.h"
#include "worker/train/state/torch_file.h"

namespace mead::train {
namespace {

at::ScalarType ScalarTypeOf(DType dtype, const std::string& path) {
  switch (dtype) {
    case DType::kBool:
      return at::kBool;
    case DType::kU8:
      return at::kByte;
    case DType::kI8:
      return at::kChar;
    case DType::kI16:
      return at::kShort;
    case DType::kI32:
      return at::kInt;
    case DType::kI64:
      return at::kLong;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
    case DType::kU16:
    case DType::kU32:
    case DType::kU64:
      break;
  }
  throw TrainError(ErrorKind::kUserError,
                   path + ": tensors of dtype " + DTypeName(dtype) + " are not supported");
}

std::string Listed(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  constexpr size_t kShown = 4;
  constexpr size_t kMaxBytes = 200;
  std::string text = "; " + std::to_string(names.size()) + " " + what + ": ";
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i ? ", " : "") + Printable(names[i]).substr(0, kMaxBytes);
  }
  return text + (names.size() > kShown ? ", ..." : "");
}

template <class File, class Info>
at::Tensor Read(const File& file, const Info& info) {
  at::Tensor tensor = at::empty(info.shape, at::dtype(ScalarTypeOf(info.dtype, file.path())));
  file.Read(info, tensor.data_ptr());
  return tensor;
}

// The formats have no base class: all that they share is used here.
template <class File>
WeightsReport Copy(const File& file, const std::vector<NamedTensor>& tensors,
                   const std::vector<std::string>& ignored_prefixes) {
  at::NoGradGuard no_grad;
  WeightsReport report;
  std::set<std::string> known;
  for (const NamedTensor& target : tensors) {
    known.insert(target.name);
    const auto found = file.tensors().find(target.name);
    if (found == file.tensors().end()) {
      // Files older than this counter lack it, and nothing here reads it.
      if (!target.name.ends_with("num_batches_tracked")) report.missing.push_back(target.name);
      continue;
    }
    if (found->second.shape != target.tensor.sizes().vec()) {
      report.mismatched.push_back(target.name + ": file " + ShapeText(found->second.shape) +
                                  ", model " + ShapeText(target.tensor.sizes().vec()));
      continue;
    }
    target.tensor.copy_(Read(file, found->second));
    report.loaded.push_back(target.name);
  }
  for (const auto& [name, info] : file.tensors()) {
    const bool ignored = std::any_of(ignored_prefixes.begin(), ignored_prefixes.end(),
                                     [&](const std::string& p) { return name.starts_with(p); });
    if (!ignored && !known.contains(name)) report.unexpected.push_back(name);
  }
  return report;
}

}  // namespace

std::string WeightsReport::Summary() const {
  return std::to_string(loaded.size()) + " tensors loaded" +
         (note.empty() ? "" : " (" + note + ")") + Listed("missing", missing) +
         Listed("of another shape", mismatched) + Listed("unexpected", unexpected) +
         Listed("at random, so never frozen", learning);
}

at::Tensor ReadTensor(const SafetensorsFile& file, const TensorInfo& info) {
  return Read(file, info);
}

WeightsReport CopyFromFile(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors,
                           const std::vector<std::string>& ignored_prefixes) {
  return Copy(file, tensors, ignored_prefixes);
}

WeightsReport CopyFromWeights(const std::string& path, const std::vector<NamedTensor>& tensors,
                              const std::vector<std::string>& ignored_prefixes) {
  InputFile input = InputFile::Open(path);
  if (!TorchFile::Recognizes(input)) {
    return Copy(SafetensorsFile::Open(std::move(input)), tensors, ignored_prefixes);
  }
  const TorchFile file = TorchFile::Open(std::make_unique<InputFile>(std::move(input)));
  WeightsReport report = Copy(file, tensors, ignored_prefixes);
  report.note = file.note();
  return report;
}

void AppendForWriting(const std::vector<NamedTensor>& tensors, const std::string& prefix,
                      std::vector<TensorData>& out) {
  for (const NamedTensor& named : tensors) {
    const at::Tensor tensor = named.tensor.detach();
    auto make = [tensor] {
      if (tensor.device().is_cpu() && tensor.is_contiguous()) {
        return std::shared_ptr<const void>(std::make_shared<at::Tensor>(tensor),
                                           tensor.const_data_ptr());
      }
      // Not from the pool, whose limit a step that runs meanwhile may need to the last byte.
      at::NoGradGuard no_grad;
      const std::shared_ptr<char[]> bytes(new char[tensor.nbytes()]);
      at::from_blob(bytes.get(), tensor.sizes(), tensor.options().device(at::kCPU)).copy_(tensor);
      return std::shared_ptr<const void>(bytes, bytes.get());
    };
    out.push_back({.name = prefix + named.name,
                   .dtype = tensor.scalar_type() == at::kLong ? DType::kI64 : DType::kF32,
                   .shape = tensor.sizes().vec(),
                   .data = nullptr,
                   .make = std::move(make)});
  }
}

}  // namespace mead::train
