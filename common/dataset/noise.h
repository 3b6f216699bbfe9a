// Value noise: smooth random functions of the plane, for drawing tissue.
//
// Thread: immutable.
// Source: Perlin, "Improving Noise" (2002), its quintic fade, on hashed lattice values.
#pragma once

#include <cmath>
#include <cstdint>

namespace mead::dataset {

class Noise {
 public:
  explicit Noise(uint64_t seed) : seed_(static_cast<uint32_t>(seed ^ seed >> 32)) {}

  // In [0, 1]; features are about 1 wide.
  float At(float x, float y) const {
    const float fx = std::floor(x);
    const float fy = std::floor(y);
    const auto ix = static_cast<int32_t>(fx);
    const auto iy = static_cast<int32_t>(fy);
    const float u = Fade(x - fx);
    const float v = Fade(y - fy);
    const float low = Lattice(ix, iy) + u * (Lattice(ix + 1, iy) - Lattice(ix, iy));
    const float high = Lattice(ix, iy + 1) + u * (Lattice(ix + 1, iy + 1) - Lattice(ix, iy + 1));
    return low + v * (high - low);
  }

  // Octaves of it, each half as wide and half as strong; in [0, 1].
  float Fractal(float x, float y, int octaves) const {
    float sum = 0;
    float weight = 0.5f;
    float total = 0;
    for (int i = 0; i < octaves; ++i, weight *= 0.5f) {
      sum += weight * At(x, y);
      total += weight;
      // Turned and shifted, so that the lattices of the octaves do not line up.
      const float turned = 1.6f * x + 1.2f * y + 17.3f;
      y = 1.6f * y - 1.2f * x + 5.1f;
      x = turned;
    }
    return sum / total;
  }

  // Thin lines where the noise crosses its middle; 1 on a line, 0 away from it. width: of the
  // lines, in the units of x.
  float Lines(float x, float y, float width) const {
    const float distance = std::fabs(Fractal(x, y, 3) - 0.5f);
    return std::exp(-distance * distance / (width * width));
  }

 private:
  static float Fade(float t) { return t * t * t * (t * (t * 6 - 15) + 10); }
  float Lattice(int32_t x, int32_t y) const {
    uint32_t h =
        seed_ ^ static_cast<uint32_t>(x) * 0x8DA6B343u ^ static_cast<uint32_t>(y) * 0xD8163841u;
    h = (h ^ h >> 16) * 0x7FEB352Du;
    h = (h ^ h >> 15) * 0x846CA68Bu;
    return static_cast<float>((h ^ h >> 16) >> 8) * (1.0f / 16777216.0f);
  }

  uint32_t seed_;
};

}  // namespace mead::dataset
