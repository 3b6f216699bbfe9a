// MEAD_CHECK: a broken invariant ends the process, with the reason.
//
// Only for programming errors. Bad input, disks and networks give a Status (or,
// here where there is only the standard library, a result type) instead.
#pragma once

#include <cstdio>
#include <cstdlib>

#define MEAD_CHECK(condition, message)                                                      \
  do {                                                                                      \
    if (!(condition)) [[unlikely]] {                                                        \
      std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", __FILE__, __LINE__, #condition, \
                   message);                                                                \
      std::abort();                                                                         \
    }                                                                                       \
  } while (false)
