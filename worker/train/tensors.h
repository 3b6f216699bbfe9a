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

// Whether element i in memory is of the same place in both: then a loop over memory
// does for both what one over indices would.
inline bool SameLayout(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || !a.is_non_overlapping_and_dense() ||
      !b.is_non_overlapping_and_dense()) {
    return false;
  }
  for (int64_t d = 0; d < a.dim(); ++d) {
    if (a.size(d) > 1 && a.stride(d) != b.stride(d)) return false;
  }
  return true;
}

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
