// Numbers that the sweep file may write as a word.
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace mead::client {

struct NumberWord {
  std::string_view word;
  int32_t value;  // what the message holds
};

// The word that a field knows, if it knows one.
inline std::optional<NumberWord> NumberWordOf(const google::protobuf::FieldDescriptor& field) {
  if (field.containing_type()->full_name() == "mead.v1.Retry") return NumberWord{"unlimited", -1};
  if (field.full_name() == "mead.v1.TrainConfig.micro_batch") return NumberWord{"auto", 0};
  return std::nullopt;
}

}  // namespace mead::client
