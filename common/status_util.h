// Passing absl::Status up the stack, and making one from errno.
#pragma once

#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mead {

// The status for a failed system call, "<what>: <strerror>"; a full disk or
// quota becomes RESOURCE_EXHAUSTED with what to do about it.
[[nodiscard]] absl::Status ErrnoStatus(int error, std::string_view what);

// `status` with "<context>: " before its message; code and payloads stay.
[[nodiscard]] absl::Status Annotate(const absl::Status& status, std::string_view context);

// Debian's absl::string_view is a type of its own; these cross over.
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace mead

#define MEAD_CONCAT_INNER_(a, b) a##b
#define MEAD_CONCAT_(a, b) MEAD_CONCAT_INNER_(a, b)

#define MEAD_RETURN_IF_ERROR(expr)                              \
  do {                                                          \
    if (absl::Status mead_status = (expr); !mead_status.ok()) { \
      return mead_status;                                       \
    }                                                           \
  } while (false)

// MEAD_ASSIGN_OR_RETURN(auto x, F()); expands to several statements, so not for
// the body of an `if` without braces.
#define MEAD_ASSIGN_OR_RETURN(lhs, expr) \
  MEAD_ASSIGN_OR_RETURN_IMPL_(MEAD_CONCAT_(mead_status_or_, __LINE__), lhs, expr)
#define MEAD_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = *std::move(result)
