// Portable seeded random numbers: the same seed gives the same numbers on every
// machine, compiler and standard library (the standard's distributions do not).
//
// Source: xoshiro256++ 1.0 (Blackman and Vigna, https://prng.di.unimi.it), its
//   state filled by splitmix64; Below() is Lemire's multiply-and-reject method
//   (Fast Random Integer Generation in an Interval, 2019).
// Thread: not thread-safe; make one per use with ForKey() rather than sharing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace mead {

class Rng {
 public:
  explicit Rng(uint64_t seed);

  // A stream of its own for each key, e.g. (seed, epoch, sample), so that what
  // is drawn for one key never depends on what was drawn for another.
  static Rng ForKey(uint64_t seed, uint64_t a, uint64_t b = 0, uint64_t c = 0);

  // Starts from a full state (not all zero), as the reference implementation does.
  static Rng FromState(const std::array<uint64_t, 4>& state);

  uint64_t NextUint64();
  // In [0, 1), a multiple of 2^-53.
  double NextDouble();
  // In [low, high); low where the two are equal.
  double Uniform(double low, double high);
  // In [0, n) without bias; n > 0.
  uint64_t Below(uint64_t n);
  // Mean 0, variance 1. Goes through log() and sqrt(): bits may differ in the
  // last place between maths libraries, unlike everything else here.
  double Normal();

  // Fisher-Yates.
  template <class T>
  void Shuffle(std::span<T> values) {
    for (size_t left = values.size(); left > 1; --left) {
      const size_t chosen = static_cast<size_t>(Below(left));
      using std::swap;
      swap(values[left - 1], values[chosen]);
    }
  }

 private:
  Rng() = default;

  std::array<uint64_t, 4> state_{};
};

}  // namespace mead
