// Tells whether a picture's bytes came back from the disk as they were written. Against
// accidents, not against people.
//
// Source: XXH64's rounds and constants (xxhash.com), without its final avalanche.
// Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mead::data {

uint64_t PixelChecksum(const uint8_t* bytes, size_t size, uint64_t seed);

}  // namespace mead::data
