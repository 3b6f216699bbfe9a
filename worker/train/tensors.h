// Small helpers shared by the files of this folder that use LibTorch.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/errors.h"

namespace mead::train {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

inline at::ScalarType TypeOf(Precision precision) {
  return precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat;
}

// The first line of what LibTorch says: the rest is a C++ stack.
inline std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// Runs f and gives whatever LibTorch throws as a TrainError; `doing` says what
// went wrong ("in the training step").
template <typename F>
auto Translated(const char* doing, F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const TrainError&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw TrainError(ErrorKind::kOutOfMemory,
                     std::string(doing) + ": " + FirstLine(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw TrainError(ErrorKind::kOutOfMemory, std::string(doing) + ": no memory left");
  } catch (const c10::Error& error) {
    const std::string what = FirstLine(error.what_without_backtrace());
    // The CPU allocator has no exception type of its own.
    const bool memory = what.find("DefaultCPUAllocator") != std::string::npos ||
                        what.find("out of memory") != std::string::npos;
    throw TrainError(memory ? ErrorKind::kOutOfMemory : ErrorKind::kInternal,
                     std::string(doing) + ": " + what);
  } catch (const std::exception& error) {
    throw TrainError(ErrorKind::kInternal, std::string(doing) + ": " + FirstLine(error.what()));
  }
}

}  // namespace mead::train
