// Files of torch.save (.pth, .pt, .ckpt) that hold a state_dict.
//
// A reader of data: nothing of the file is run (pickle.h). Tensors may share their data
// and have any strides.
//
// Format: since torch 1.6 a zip archive of PREFIX/data.pkl, PREFIX/data/KEY for each
//         storage and PREFIX/byteorder; before, or with
//         _use_new_zipfile_serialization=False, pickles of a magic number, a version,
//         the machine, the object and the storages' keys, then each storage's count of
//         elements in 8 bytes and its data.
// Source: torch/serialization.py (_save, _legacy_save).
// Limits: pickle.h's and zip_archive.h's; a tensor in strides takes, while it is read,
//         as much memory as the part of the storage that it covers.
// Errors: TrainError (kUserError) naming the file, the byte, what is wrong and what to do.
// Thread: a TorchFile may be read from one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/train/state/byte_source.h"
#include "worker/train/state/dtype.h"

namespace mead::train {

struct TorchTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // elements, within what is covered
  int64_t begin = 0;             // bytes from the start of the file
  int64_t bytes = 0;             // covered from there on
};

class TorchFile {
 public:
  // Whether the file's first bytes say that it is of either format.
  static bool Recognizes(const ByteSource& source);
  static TorchFile Open(std::unique_ptr<const ByteSource> source);

  const std::string& path() const { return source_->path(); }
  const std::map<std::string, TorchTensor>& tensors() const { return tensors_; }
  // What was done to find the names, for a log; may be empty.
  const std::string& note() const { return note_; }
  // Reads a tensor as dense and row-major; destination has room for all its elements.
  void Read(const TorchTensor& tensor, void* destination) const;

 private:
  explicit TorchFile(std::unique_ptr<const ByteSource> source) : source_(std::move(source)) {}

  std::unique_ptr<const ByteSource> source_;
  std::map<std::string, TorchTensor> tensors_;
  std::string note_;
};

}  // namespace mead::train
