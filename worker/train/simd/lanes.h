// Vectors of 16 lanes, in the instruction set that the including source is compiled
// for: one register of AVX-512, two of AVX2. For sources of kernels (tables.h) alone.
//
// Written on the compiler's vector types. Everything has internal linkage: see
// tables.h.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "worker/train/simd/tables.h"

namespace mead::train {
namespace {

#define MEAD_INLINE [[gnu::always_inline]] inline

constexpr int kLanes = 16;

template <typename A>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float V __attribute__((vector_size(kLanes * sizeof(float))));
  typedef int32_t M __attribute__((vector_size(kLanes * sizeof(int32_t))));
};
template <>
struct Lanes<double> {
  typedef double V __attribute__((vector_size(kLanes * sizeof(double))));
  typedef int64_t M __attribute__((vector_size(kLanes * sizeof(int64_t))));
};
template <typename A>
using V = typename Lanes<A>::V;
template <typename A>
using M = typename Lanes<A>::M;  // all bits of a lane set, or none
typedef uint8_t U8 __attribute__((vector_size(kLanes)));
typedef uint16_t U16 __attribute__((vector_size(kLanes * sizeof(uint16_t))));
typedef uint32_t U32 __attribute__((vector_size(kLanes * sizeof(uint32_t))));

template <typename T>
MEAD_INLINE V<T> Load(const T* from) {
  V<T> v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}

// Conversions between widths are spelled out where GCC makes of them two halves, or even
// one lane at a time; with a mask, since it takes the plain ones for uninitialised.
#if defined(__AVX512F__)
constexpr __mmask16 kAllLanes = 0xffff;
#endif
MEAD_INLINE V<float> Load(const Bf16Storage* from) {
  U16 half;
  __builtin_memcpy(&half, from, sizeof(half));
#if defined(__AVX512F__)
  const U32 wide = reinterpret_cast<U32>(
      _mm512_maskz_cvtepu16_epi32(kAllLanes, reinterpret_cast<__m256i>(half)));
#else
  const U32 wide = __builtin_convertvector(half, U32);
#endif
  return reinterpret_cast<V<float>>(wide << 16);
}

// A small number per lane, one byte each in memory.
template <typename A>
MEAD_INLINE M<A> LoadBytes(const uint8_t* from) {
  U8 bytes;
  __builtin_memcpy(&bytes, from, sizeof(bytes));
#if defined(__AVX512F__)
  if constexpr (sizeof(A) == sizeof(float)) {
    return reinterpret_cast<M<A>>(
        _mm512_maskz_cvtepu8_epi32(kAllLanes, reinterpret_cast<__m128i>(bytes)));
  }
#endif
  return __builtin_convertvector(bytes, M<A>);
}

template <typename A>
MEAD_INLINE void StoreBytes(M<A> values, uint8_t* to) {
  U8 bytes;
#if defined(__AVX512F__)
  if constexpr (sizeof(A) == sizeof(float)) {
    bytes = reinterpret_cast<U8>(
        _mm512_maskz_cvtepi32_epi8(kAllLanes, reinterpret_cast<__m512i>(values)));
  } else  // NOLINT(readability-misleading-indentation)
#endif
    bytes = __builtin_convertvector(values, U8);
  __builtin_memcpy(to, &bytes, sizeof(bytes));
}

template <typename T>
MEAD_INLINE void Store(V<T> v, T* to) {
  __builtin_memcpy(to, &v, sizeof(v));
}

// To nearest, ties to even; NaN stays NaN. AVX-512 BF16 takes denormals for zero.
MEAD_INLINE void Store(V<float> v, Bf16Storage* to) {
#if defined(__AVX512BF16__)
  const __m256bh half = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
#else
  const U32 bits = reinterpret_cast<U32>(v);
  const U32 rounded = bits + 0x7fffU + ((bits >> 16) & 1U);
  const U32 nan = reinterpret_cast<U32>(v != v);
  const U32 result = (rounded & ~nan) | (nan & 0x7fc00000U);
  const U16 half = __builtin_convertvector(result >> 16, U16);
#endif
  __builtin_memcpy(to, &half, sizeof(half));
}

// As Store; with `past_caches` memory is not read first, nor is it in a cache afterwards, where
// the instruction set can, and `to` is aligned to the vector's size. StreamsEnd comes before
// another thread reads it.
template <bool past_caches, typename T, typename A>
MEAD_INLINE void StoreOrStream(V<A> v, T* to) {
#if defined(__AVX512BF16__)
  if constexpr (past_caches && sizeof(T) == sizeof(Bf16Storage)) {
    const __m256bh half = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(half));
    return;
  }
#endif
  Store(v, to);
}

MEAD_INLINE void StreamsEnd() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// The first `count` lanes; the others are zero, and stay where they are in memory.
template <typename T>
MEAD_INLINE V<float> LoadFirst(const T* from, int64_t count) {
  T all[kLanes] = {};
  __builtin_memcpy(all, from, static_cast<unsigned long>(count) * sizeof(T));
  return Load(all);
}

template <typename T>
MEAD_INLINE void StoreFirst(V<float> v, T* to, int64_t count) {
  T all[kLanes];
  Store(v, all);
  __builtin_memcpy(to, all, static_cast<unsigned long>(count) * sizeof(T));
}

// a * b + c, rounded once where the instruction set can.
MEAD_INLINE V<float> MultiplyAdd(V<float> a, float b, V<float> c) {
#if defined(__AVX512F__)
  return reinterpret_cast<V<float>>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), _mm512_set1_ps(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  __m256 as[2], cs[2];
  __builtin_memcpy(as, &a, sizeof(as));
  __builtin_memcpy(cs, &c, sizeof(cs));
  for (int i = 0; i < 2; ++i) cs[i] = _mm256_fmadd_ps(as[i], _mm256_set1_ps(b), cs[i]);
  __builtin_memcpy(&c, cs, sizeof(cs));
  return c;
#else
  return a * b + c;
#endif
}

}  // namespace
}  // namespace mead::train
