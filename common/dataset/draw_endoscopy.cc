// The drawing of synth.h: a height field with colours, lit from the camera, as seen by an
// endoscope. Coordinates: the picture spans [-1, 1] in both directions.

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "common/base/rng.h"
#include "common/dataset/noise.h"
#include "common/dataset/synth.h"

namespace mead::dataset {
namespace {

constexpr float kPi = std::numbers::pi_v<float>;

struct Rgb {
  float r = 0, g = 0, b = 0;  // linear-ish, 0 to 1
};
Rgb Mix(const Rgb& a, const Rgb& b, float t) {
  t = std::clamp(t, 0.0f, 1.0f);
  return {a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}
Rgb Scale(const Rgb& a, float s) { return {a.r * s, a.g * s, a.b * s}; }
float Ramp(float low, float high, float x) {  // smooth, 0 below low, 1 above high
  const float t = std::clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}
float Bell(float x, float width) { return std::exp(-x * x / (width * width)); }

// One point of the tissue.
struct Surface {
  float height = 0;
  Rgb colour;
  float gloss = 0.5f;
  float light = 1;  // 0 in a lumen, where the lamp does not reach
};

constexpr Rgb kPink{0.86f, 0.50f, 0.44f}, kSalmon{0.78f, 0.36f, 0.28f}, kPale{0.93f, 0.70f, 0.63f},
    kOrange{0.88f, 0.55f, 0.36f}, kBlood{0.50f, 0.07f, 0.06f}, kVessel{0.62f, 0.20f, 0.18f},
    kDye{0.12f, 0.24f, 0.60f}, kFibrin{0.93f, 0.88f, 0.70f}, kWound{0.88f, 0.72f, 0.62f};

// The random shape of one picture: what all classes share, and what some use.
class Scene {
 public:
  Scene(int class_id, Rng& rng)
      : class_id_(class_id),
        broad_(rng.NextUint64()),
        fine_(rng.NextUint64()),
        veins_(rng.NextUint64()),
        patches_(rng.NextUint64()) {
    const auto uniform = [&](double low, double high) {
      return static_cast<float>(rng.Uniform(low, high));
    };
    tint_ = {uniform(0.88, 1.12), uniform(0.86, 1.12), uniform(0.82, 1.15)};
    lumen_x_ = uniform(-0.45, 0.45);
    lumen_y_ = uniform(-0.45, 0.45);
    lumen_size_ = uniform(0.10, 0.28);
    fold_waves_ = uniform(1.5, 4.5);
    fold_depth_ = uniform(0.03, 0.12);
    spot_x_ = uniform(-0.5, 0.5);
    spot_y_ = uniform(-0.5, 0.5);
    spot_size_ = uniform(0.16, 0.48);
    spot_stretch_ = uniform(0.65, 1.5);
    strength_ = uniform(0, 1);
    dye_ = uniform(0.45, 1);
    ring_ = uniform(0.38, 0.75);
    veins_strength_ = uniform(0.1, 0.6);
    // Some polyps are flat, some resections bulge: the dyed classes and polyps overlap a little.
    bump_ = uniform(0.04, 0.26);
    other_polyp_ = rng.NextDouble() < 0.12;
  }

  Surface At(float x, float y) const {
    switch (class_id_) {
      case 0:
        return DyedLiftedPolyp(x, y);
      case 1:
        return DyedResectionMargin(x, y);
      case 2:
        return ZLine(x, y, 0.10f + 0.90f * strength_);
      case 3:
        return Cecum(x, y);
      case 4:
        return Pylorus(x, y);
      // A few normal ones are a little red, too.
      case 5:
        return ZLine(x, y, 0.45f * strength_ * strength_ * strength_);
      case 6:
        return Polyp(x, y);
      default:
        return Colitis(x, y);
    }
  }

 private:
  float LumenDistance(float x, float y) const {
    const float bend = 0.25f * (broad_.Fractal(1.3f * x, 1.3f * y, 2) - 0.5f);
    return std::hypot(x - lumen_x_ + bend, y - lumen_y_ - bend);
  }
  // Distance from the spot's centre in units of its size, with an uneven rim.
  float SpotDistance(float x, float y) const {
    const float dx = (x - spot_x_) * spot_stretch_;
    const float dy = (y - spot_y_) / spot_stretch_;
    const float rim = 0.35f * (broad_.Fractal(3 * x + 9, 3 * y, 3) - 0.5f);
    return std::hypot(dx, dy) / spot_size_ + rim;
  }

  // The wall of the colon: folds around a lumen, and vessels.
  Surface Colon(float x, float y, const Rgb& base) const {
    Surface s;
    const float d = LumenDistance(x, y);
    const float wave = std::sin(kPi * fold_waves_ * std::log(0.15f + d) +
                                7 * broad_.Fractal(1.1f * x, 1.1f * y, 2));
    const float crest = (0.5f + 0.5f * wave) * (0.5f + 0.5f * wave);
    const float depth = fold_depth_ * Ramp(0.30f, 0.65f, patches_.At(1.4f * x + 31, 1.4f * y));
    s.height = depth * crest * crest * Ramp(0.05f, 0.5f, d) +
               0.10f * broad_.Fractal(1.8f * x, 1.8f * y, 3) +
               0.008f * fine_.Fractal(14 * x, 14 * y, 3);
    s.light = 0.06f + 0.94f * Ramp(0.3f * lumen_size_, 2.2f * lumen_size_, d);
    s.colour = Mix(base, kSalmon, 0.9f * broad_.Fractal(2.5f * x + 4, 2.5f * y, 4) - 0.2f);
    s.colour = Mix(s.colour, kVessel, veins_strength_ * veins_.Lines(2.6f * x, 2.6f * y, 0.022f));
    return s;
  }

  void AddDome(Surface& s, float d, float height) const {
    // It stands in front of the folds and of the lumen.
    const float on = 1 - Ramp(0.75f, 1.05f, d);
    s.light = std::max(s.light, 0.92f * on);
    s.height *= 1 - 0.8f * on;
    const float inside = std::max(0.0f, 1 - d * d / 1.1f);
    s.height += height * (inside * std::sqrt(inside) + 0.35f * Bell(d, 1.3f));
  }

  Surface Polyp(float x, float y) const {
    Surface s = Colon(x, y, kPink);
    const float d = SpotDistance(x, y);
    AddDome(s, d, 0.6f * bump_ + 0.04f);
    const float on = 1 - Ramp(0.8f, 1.1f, d);
    const float pits = fine_.Fractal(16 * x, 16 * y, 2);
    s.height += on * 0.012f * pits;
    s.colour = Mix(s.colour, Mix(kSalmon, kVessel, 0.5f * pits), on * (0.25f + 0.5f * strength_));
    s.gloss += 0.4f * on;
    return s;
  }

  // Indigo spreads under and around what was lifted by injection.
  Surface DyedLiftedPolyp(float x, float y) const {
    Surface s = Colon(x, y, kPink);
    const float d = SpotDistance(x, y);
    AddDome(s, 0.62f * d, bump_ + 0.02f);
    const float stain = patches_.Fractal(3 * x, 3 * y, 4);
    const float around = Bell(std::max(0.0f, d - 1), 0.7f) * (0.4f + 0.9f * stain);
    const float top = 1 - Ramp(0.55f, 0.95f, d);
    s.colour = Mix(s.colour, kDye, dye_ * around * (1 - (0.35f + 0.5f * strength_) * top));
    s.colour = Mix(s.colour, kPale, 0.35f * top * stain);
    s.gloss += 0.3f;
    return s;
  }

  // A wound with pale ground and ragged, dyed margins.
  Surface DyedResectionMargin(float x, float y) const {
    Surface s = Colon(x, y, kPink);
    const float d = SpotDistance(x, y) + 0.35f * (patches_.Fractal(6 * x, 6 * y, 3) - 0.5f);
    const float ground = 1 - Ramp(0.72f, 0.92f, d);
    AddDome(s, 0.6f * d, 0.4f * bump_);
    s.height -= 0.06f * ground;
    const float stain = patches_.Fractal(3.5f * x + 7, 3.5f * y, 4);
    s.colour =
        Mix(s.colour, kDye, dye_ * Bell(std::max(0.0f, d - 1), 0.55f) * (0.5f + 0.8f * stain));
    const Rgb wound = Mix(Mix(kWound, kDye, 0.55f * stain), kBlood,
                          1.6f * (fine_.Fractal(4 * x, 4 * y, 3) - 0.52f));
    s.colour = Mix(s.colour, wound, ground * (0.45f + 0.5f * strength_));
    s.gloss += 0.3f;
    return s;
  }

  // Pale squamous mucosa outside, red gastric mucosa inside of a ragged line; inflammation:
  // 0 none, to 1 with long red breaks and fibrin.
  Surface ZLine(float x, float y, float inflammation) const {
    Surface s;
    const float dx = x - 0.5f * lumen_x_;
    const float dy = y - 0.5f * lumen_y_;
    const float d = std::hypot(dx, dy);
    const float angle = std::atan2(dy, dx);
    const float cx = std::cos(angle);
    const float cy = std::sin(angle);
    const float tongues = broad_.Fractal(2.2f * cx + 3, 2.2f * cy, 3) +
                          0.35f * patches_.Fractal(7 * cx, 7 * cy + 2 * d, 3);
    const float line = ring_ + 0.55f * (tongues - 0.67f);
    const float inside = 1 - Ramp(line - 0.045f, line + 0.045f, d);
    const float furrows = std::sin(7 * angle + 5 * broad_.Fractal(1.5f * x, 1.5f * y, 2));
    s.height = 0.05f * furrows * Ramp(0.1f, 0.5f, d) + 0.012f * inside +
               0.10f * broad_.Fractal(2 * x, 2 * y, 3) + 0.010f * fine_.Fractal(12 * x, 12 * y, 3);
    s.light = 0.08f + 0.92f * Ramp(0.02f, 0.30f + 0.4f * lumen_size_, d);
    s.colour = Mix(Mix(kPale, kPink, broad_.Fractal(3 * x, 3 * y, 3)), kSalmon, inside);
    // Palisade vessels run along the oesophagus.
    s.colour =
        Mix(s.colour, kVessel,
            0.3f * (1 - inside) * veins_strength_ * veins_.Lines(9 * cx + 0.6f * d, 9 * cy, 0.03f));
    const float reach = Bell(std::max(0.0f, d - line), 0.08f + 0.40f * inflammation);
    const float streak = Ramp(0.60f - 0.16f * inflammation, 0.72f,
                              patches_.Fractal(4.5f * cx + 0.5f * d, 4.5f * cy + 11, 3));
    const float breaks = inflammation * streak * reach * (1 - inside);
    s.colour = Mix(s.colour, kBlood, 0.75f * breaks);
    const float fibrin = Ramp(0.58f, 0.70f, fine_.Fractal(9 * x, 9 * y, 3));
    s.colour = Mix(s.colour, kFibrin, 1.1f * inflammation * breaks * fibrin);
    s.colour = Mix(s.colour, kSalmon, 0.22f * inflammation * reach);
    s.gloss = 0.6f;
    return s;
  }

  // A wide blind end: folds that meet, and the appendix's opening.
  Surface Cecum(float x, float y) const {
    Surface s = Colon(x, y, kOrange);
    s.light = std::max(s.light, 0.55f);
    const float dx = x - 0.6f * spot_x_;
    const float dy = y - 0.6f * spot_y_;
    const float angle = std::atan2(dy, dx) + 2.0f * (broad_.At(x, y) - 0.5f);
    const float d = std::hypot(dx, dy);
    s.height += 0.10f * std::pow(std::fabs(std::cos(1.5f * angle + 6 * strength_)), 9.0f) *
                Ramp(0.1f, 0.5f, d);
    const float size = 0.04f + 0.07f * strength_;
    const float crescent =
        Bell(d - size, 0.45f * size) * Ramp(-0.4f, 0.5f, std::cos(angle - 9 * dye_));
    s.light *= 1 - 0.85f * crescent;
    s.height -= 0.05f * Bell(d, 2 * size);
    // Every now and then a fold bulges as a polyp does.
    if (other_polyp_) AddDome(s, SpotDistance(x, y), 0.08f);
    return s;
  }

  // Smooth wall drawn together around a round opening.
  Surface Pylorus(float x, float y) const {
    Surface s;
    const float bend = 0.10f * (broad_.Fractal(2 * x, 2 * y, 2) - 0.5f);
    const float dx = x - 0.7f * lumen_x_ + bend;
    const float dy = y - 0.7f * lumen_y_;
    const float d = std::hypot(dx, dy);
    const float size = 0.5f * lumen_size_ + 0.02f;
    const float angle = std::atan2(dy, dx);
    s.height = 0.16f * Bell(d - 2.4f * size, 1.4f * size) - 0.10f * Bell(d, size) +
               0.025f * std::sin(5 * angle + 4 * broad_.At(x, y)) * Bell(d - 3 * size, 2 * size) +
               0.12f * broad_.Fractal(1.2f * x, 1.2f * y, 2) +
               0.007f * fine_.Fractal(13 * x, 13 * y, 3);
    s.light = 0.04f + 0.96f * Ramp(0.7f * size, 1.25f * size, d);
    s.colour =
        Mix(Mix(kPink, kOrange, strength_), kSalmon, broad_.Fractal(3 * x, 3 * y, 4) - 0.15f);
    s.gloss = 0.9f;
    return s;
  }

  // Granular and red, without vessels; fibrin on ulcers, and blood.
  Surface Colitis(float x, float y) const {
    Surface s = Colon(x, y, kPink);
    const float severity = 0.25f + 0.75f * strength_;
    const float grain = fine_.Fractal(20 * x, 20 * y, 2);
    s.height += 0.030f * severity * grain;
    s.colour = Mix(s.colour, kSalmon, 0.9f * severity);
    s.colour = Mix(s.colour, kBlood, severity * 1.4f * (patches_.Fractal(5 * x, 5 * y, 4) - 0.50f));
    const float ulcer = Ramp(0.60f, 0.68f, patches_.Fractal(3.2f * x + 20, 3.2f * y, 4));
    s.colour = Mix(s.colour, Mix(kFibrin, kPale, grain), severity * ulcer);
    s.height -= 0.03f * severity * ulcer;
    return s;
  }

  const int class_id_;
  const Noise broad_, fine_, veins_, patches_;

 public:
  Rgb tint_;

 private:
  float lumen_x_, lumen_y_, lumen_size_, fold_waves_, fold_depth_;
  float spot_x_, spot_y_, spot_size_, spot_stretch_;
  float strength_, dye_, ring_, veins_strength_, bump_;
  bool other_polyp_;
};

// The scope's position drawn into the lower left corner, as Kvasir's recorder does.
bool DrawPositionBox(float u, float v, float phase, Rgb& colour) {
  if (u > -0.46f || v < 0.52f || u < -0.97f || v > 0.97f) return false;
  const float x = (u + 0.715f) / 0.255f;  // [-1, 1] in the box
  const float y = (v - 0.745f) / 0.225f;
  colour = {0.05f, 0.20f, 0.12f};
  const float colon = std::max(std::fabs(x) / 0.62f, std::fabs(y) / 0.62f);
  if (std::max(std::fabs(x), std::fabs(y)) > 0.94f) colour = {0.30f, 0.55f, 0.35f};
  if (std::fabs(colon - 1) < 0.10f && !(y > 0 && std::fabs(x) < 0.3f))
    colour = {0.35f, 0.95f, 0.45f};
  if (std::hypot(x - 0.6f * std::cos(phase), y - 0.6f * std::sin(phase)) < 0.16f) {
    colour = {0.95f, 0.95f, 0.35f};
  }
  return true;
}

}  // namespace

std::vector<uint8_t> DrawEndoscopy(int class_id, uint64_t index, int size, uint64_t seed) {
  Rng rng = Rng::ForKey(seed, static_cast<uint64_t>(class_id), index);
  const auto uniform = [&](double low, double high) {
    return static_cast<float>(rng.Uniform(low, high));
  };
  const Scene scene(class_id, rng);
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
      colour = {colour.r * scene.tint_.r, colour.g * scene.tint_.g, colour.b * scene.tint_.b};
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
