// The one exception that worker/train throws, and whose fault it names.
//
// LibTorch reports failures by exceptions, so this folder does too; the trainer
// catches TrainError at one place and maps the kind to the API's FailureKind.
#pragma once

#include <stdexcept>
#include <string>

namespace mead::train {

enum class ErrorKind {
  kUserError,    // a setting or a file of the user's cannot work
  kOutOfMemory,  // the model and batch do not fit the device
  kPeerLost,     // another rank ended, hangs or cannot be reached
  kDiverged,     // the loss is not finite
  kInternal,     // anything else; a bug of ours or a broken machine
};

// "user error", "out of memory", ... for log lines.
const char* ErrorKindName(ErrorKind kind);

class TrainError : public std::runtime_error {
 public:
  TrainError(ErrorKind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}

  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace mead::train
