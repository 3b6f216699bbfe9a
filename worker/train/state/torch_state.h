// The tensors of a state_dict, in what torch.save has pickled.
//
// A mapping of names to tensors, or one that holds such a mapping under "state_dict",
// "model_state_dict" or "model", as training scripts write theirs. Prefixes that wrappers
// put before every name ("module." of DataParallel) are taken off.
// Source: torch/_utils.py (_rebuild_tensor_v2), torch/serialization.py (persistent_id).
// Errors: TrainError (kUserError) naming the file, the byte and what is wrong.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/train/state/dtype.h"
#include "worker/train/state/pickle.h"

namespace mead::train {

struct TorchStorage {
  DType dtype = DType::kF32;
  int64_t elements = 0;
  int64_t at = 0;  // where the pickle refers to it
};

// A view of a storage, within its bounds.
struct TorchView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // elements
  std::string storage;
  int64_t offset = 0;  // elements, of the first
  int64_t span = 0;    // elements from the first to behind the last
};

struct TorchState {
  std::map<std::string, TorchView> tensors;
  std::map<std::string, TorchStorage> storages;
  std::string note;  // what was done to find the names: "found under 'state_dict'", or empty
};

// The names that the pickle of a state_dict may refer to.
std::span<const std::string_view> TorchGlobals();

TorchState ReadTorchState(const Pickle& pickle, const std::string& path);

}  // namespace mead::train
