// The camera of synth.h: lights a scene from where it looks, and adds what the recorder adds.

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "common/base/rng.h"
#include "common/dataset/endoscopy_scene.h"
#include "common/dataset/synth.h"

namespace mead::dataset {
namespace {

constexpr float kPi = std::numbers::pi_v<float>;

// The scope's position drawn into the lower left corner, as Kvasir's recorder does.
void DrawPositionBox(float u, float v, float phase, Rgb& colour) {
  if (u > -0.46f || v < 0.52f || u < -0.97f || v > 0.97f) return;
  const float x = (u + 0.715f) / 0.255f;  // [-1, 1] in the box
  const float y = (v - 0.745f) / 0.225f;
  colour = {0.05f, 0.20f, 0.12f};
  const float colon = std::max(std::fabs(x) / 0.62f, std::fabs(y) / 0.62f);
  if (std::max(std::fabs(x), std::fabs(y)) > 0.94f) colour = {0.30f, 0.55f, 0.35f};
  const bool open_end = y > 0 && std::fabs(x) < 0.3f;
  if (std::fabs(colon - 1) < 0.10f && !open_end) colour = {0.35f, 0.95f, 0.45f};
  if (std::hypot(x - 0.6f * std::cos(phase), y - 0.6f * std::sin(phase)) < 0.16f) {
    colour = {0.95f, 0.95f, 0.35f};
  }
}

}  // namespace

std::vector<uint8_t> DrawEndoscopy(int class_id, uint64_t index, int size, uint64_t seed) {
  Rng rng = Rng::ForKey(seed, static_cast<uint64_t>(class_id), index);
  const auto uniform = [&](double low, double high) {
    return static_cast<float>(rng.Uniform(low, high));
  };
  const EndoscopyScene scene(class_id, rng);
  const float turn = uniform(-kPi, kPi);
  const float zoom = uniform(0.75, 1.25);
  const float lamp_x = uniform(-0.25, 0.25);
  const float lamp_y = uniform(-0.25, 0.25);
  const float exposure = uniform(0.85, 1.25);
  const float falloff = uniform(0.35, 0.9);
  const float grain = uniform(0.006, 0.028);
  const float mask = uniform(1.02, 1.30);  // how far the black corners reach in
  const bool round_mask = rng.NextDouble() < 0.3;
  const bool box = rng.NextDouble() < 0.3;
  const float box_phase = uniform(-kPi, kPi);

  // Surface first, then light: the slope needs the neighbours' heights.
  const auto n = static_cast<size_t>(size);
  std::vector<Surface> surface(n * n);
  const float step = 2.0f / static_cast<float>(size);
  const auto at = [&](size_t i) { return (static_cast<float>(i) + 0.5f) * step - 1; };
  for (size_t row = 0; row < n; ++row) {
    for (size_t col = 0; col < n; ++col) {
      const float u = at(col) * zoom;
      const float v = at(row) * zoom;
      surface[row * n + col] = scene.At(u * std::cos(turn) - v * std::sin(turn),
                                        u * std::sin(turn) + v * std::cos(turn));
    }
  }

  std::vector<uint8_t> pixels(3 * n * n);
  for (size_t row = 0; row < n; ++row) {
    for (size_t col = 0; col < n; ++col) {
      const Surface& s = surface[row * n + col];
      const float u = at(col);
      const float v = at(row);
      const auto height = [&](size_t r, size_t c) { return surface[r * n + c].height; };
      const size_t left = col > 0 ? col - 1 : 0;
      const size_t right = std::min(col + 1, n - 1);
      const size_t above = row > 0 ? row - 1 : 0;
      const size_t below = std::min(row + 1, n - 1);
      const float slope_x = (height(row, right) - height(row, left)) /
                            (static_cast<float>(right - left) * step * zoom);
      const float slope_y = (height(below, col) - height(above, col)) /
                            (static_cast<float>(below - above) * step * zoom);
      const float to_lamp_x = 0.6f * (lamp_x - u);
      const float to_lamp_y = 0.6f * (lamp_y - v);
      const float length = std::sqrt((slope_x * slope_x + slope_y * slope_y + 1) *
                                     (to_lamp_x * to_lamp_x + to_lamp_y * to_lamp_y + 1));
      const float cosine = std::max(0.0f, (1 - slope_x * to_lamp_x - slope_y * to_lamp_y) / length);
      const float far = (u - lamp_x) * (u - lamp_x) + (v - lamp_y) * (v - lamp_y);
      const float light = exposure * s.light * (0.12f + 0.95f * cosine) / (1 + falloff * far);
      // Wet tissue mirrors the lamp where it faces it.
      const float mirror = s.gloss * s.light * Ramp(0.9965f, 0.9995f, cosine) * Bell(far, 0.55f);
      Rgb colour = Scale(s.colour, light);
      colour = {colour.r * scene.tint().r, colour.g * scene.tint().g, colour.b * scene.tint().b};
      colour = Mix(colour, {1, 0.98f, 0.95f}, 0.85f * mirror);

      const float corner =
          round_mask
              ? std::hypot(u, v) / 1.0f
              : std::max({std::fabs(u), std::fabs(v), 0.72f * (std::fabs(u) + std::fabs(v))});
      colour = Scale(colour, 1 - Ramp(mask - 0.02f, mask, corner + 0.06f));
      if (box) DrawPositionBox(u, v, box_phase, colour);
      const std::array<float, 3> channels = {colour.r, colour.g, colour.b};
      // Sum of two uniform numbers: noise enough like a sensor's, and cheap.
      for (size_t c = 0; c < 3; ++c) {
        const float noise = grain * (uniform(-1, 1) + uniform(-1, 1));
        const float value = std::pow(std::clamp(channels[c] + noise, 0.0f, 1.0f), 0.9f);
        pixels[3 * (row * n + col) + c] = static_cast<uint8_t>(std::lround(255 * value));
      }
    }
  }
  return pixels;
}

}  // namespace mead::dataset
