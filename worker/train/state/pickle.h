// Pickles read as plain data: nothing is imported, called or built.
//
// What a pickle would call becomes a value that says so (kCall); only names in a list
// of the caller's are accepted at all. Values refer to one another by number, so that
// neither cycles nor depth need recursion, here or when they are let go.
//
// Format: protocol 2, the instructions that torch.save uses.
// Limits: below; a pickle within them takes some 200 MiB at worst.
// Source: CPython, Lib/pickletools.py; torch/serialization.py.
// Errors: TrainError (kUserError) naming the file, the byte and what stands there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/train/state/byte_source.h"

namespace mead::train {

inline constexpr int64_t kMaxPickleBytes = 16 << 20;
inline constexpr size_t kMaxPickleValues = 1'000'000;  // made, copied, or taken from the memo
inline constexpr size_t kMaxPickleDepth = 1000;        // of open marks

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,  // which one is not kept
  kText,
  kTuple,
  kList,
  kDict,        // an OrderedDict as well; its attributes are not kept
  kGlobal,      // text: "torch.FloatStorage"
  kCall,        // text: what would be called; items: the one tuple of its arguments
  kPersistent,  // items: the one value that says what lies elsewhere
};

using PickleId = uint32_t;  // index into Pickle::values

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t at = 0;                    // byte of the file
  int64_t integer = 0;               // kBool, kInt
  std::string text = {};             // any bytes
  std::vector<PickleId> items = {};  // kDict: key, value, key, value, ...
};

struct Pickle {
  std::vector<PickleValue> values;
  PickleId root = 0;
  int64_t end = 0;  // of the file, behind the pickle

  const PickleValue& operator[](PickleId id) const { return values[id]; }
};

// Reads the pickle that begins at `begin` and ends in front of `end`. `globals` are
// the names that it may refer to, as "module.name".
Pickle ReadPickle(const ByteSource& source, int64_t begin, int64_t end,
                  std::span<const std::string_view> globals);

}  // namespace mead::train
