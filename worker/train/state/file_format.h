// What the readers of weights files say of a file that they cannot read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mead::train {

struct FileFormat {
  const char* name;
  const char* remedy;  // or empty
};
inline constexpr FileFormat kSafetensorsFormat = {"safetensors file", ""};
inline constexpr FileFormat kTorchFormat = {
    "torch.save file",
    "; save it again with torch.save(model.state_dict(), PATH), or as .safetensors"};

// Throws TrainError (kUserError): "PATH: not a valid FORMAT: WHAT (at byte AT)REMEDY".
[[noreturn]] void FailFormat(const std::string& path, const FileFormat& format,
                             const std::string& what, int64_t at);

// `text` with '?' for every byte that is not printable ASCII: messages travel as UTF-8,
// and what a file calls its tensors can be any bytes.
std::string Printable(std::string_view text);

}  // namespace mead::train
