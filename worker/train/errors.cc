#include "worker/train/errors.h"

namespace mead::train {

const char* ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUserError:
      return "user error";
    case ErrorKind::kOutOfMemory:
      return "out of memory";
    case ErrorKind::kPeerLost:
      return "peer lost";
    case ErrorKind::kDiverged:
      return "diverged";
    case ErrorKind::kInternal:
      return "internal error";
  }
  return "unknown error";
}

}  // namespace mead::train
