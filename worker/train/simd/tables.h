// What a source of kernels and its callers share: how its tables are named.
//
// Free of LibTorch and of inline functions of the standard library: a copy of one
// compiled for AVX-512 must never be linked into code that runs everywhere.
#pragma once

#include <cstdint>

namespace mead::train {

// bfloat16 in memory: the upper half of a float32.
struct Bf16Storage {
  uint16_t bits;
};

// MEAD_DECLARE_TABLES(Table, kName) declares kNamePortable, kNameAvx2, ...;
// MEAD_TABLES(kName) lists their addresses as a PerIsa<Table> has them. A source of
// kernels is compiled with MEAD_ISA as one of the suffixes and MEAD_ISA_NAME as a
// string, and defines MEAD_TABLE(kName).
#define MEAD_JOIN_TOKENS(a, b) a##b
#define MEAD_JOIN(a, b) MEAD_JOIN_TOKENS(a, b)
#define MEAD_TABLE(name) MEAD_JOIN(name, MEAD_ISA)
#if defined(__x86_64__)
#define MEAD_DECLARE_TABLES(Table, name) \
  extern const Table name##Portable, name##Avx2, name##Avx512, name##Avx512Bf16
#define MEAD_TABLES(name) \
  { &name##Portable, &name##Avx2, &name##Avx512, &name##Avx512Bf16 }
#else
#define MEAD_DECLARE_TABLES(Table, name) extern const Table name##Portable
#define MEAD_TABLES(name) \
  { &name##Portable, &name##Portable, &name##Portable, &name##Portable }
#endif

}  // namespace mead::train
