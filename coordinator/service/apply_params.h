// A trial's parameters, written into its training configuration by path.
//
// A path names a field as the sweep file does: "batch_size", "optimizer.lr".
// Protobuf's reflection finds it, so a new field of TrainConfig can be searched
// without a line of code here.
//
// Thread: free functions without state.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/core/spec.h"
#include "mead/v1/train_config.pb.h"

namespace mead::service {

// What kind of value a searchable field holds.
enum class FieldKind { kNumber, kInteger, kText, kFlag };

struct SearchableField {
  std::string path;
  FieldKind kind;
};

// Every field that a sweep may vary, in the order of the proto.
[[nodiscard]] const std::vector<SearchableField>& SearchableFields();
// nullptr: not searchable.
[[nodiscard]] const SearchableField* FindSearchableField(std::string_view path);

// Sets one field. An integer is taken for a number, and a number without a
// fraction for an integer, because YAML does not tell them apart.
// Errors: INVALID_ARGUMENT (no such path, with near ones; a value of another
//   type or out of the field's range). On error nothing is changed.
[[nodiscard]] absl::Status ApplyParam(v1::TrainConfig& config, const core::Param& param);

// Errors: as ApplyParam, for the first that fails.
[[nodiscard]] absl::Status ApplyParams(v1::TrainConfig& config,
                                       std::span<const core::Param> params);

}  // namespace mead::service
