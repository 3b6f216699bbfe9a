#include "common/dataset/endoscopy_scene.h"

#include <numbers>

namespace mead::dataset {
namespace {

constexpr float kPi = std::numbers::pi_v<float>;

constexpr Rgb kPink{0.86f, 0.50f, 0.44f}, kSalmon{0.78f, 0.36f, 0.28f}, kPale{0.93f, 0.70f, 0.63f},
    kOrange{0.88f, 0.55f, 0.36f}, kBlood{0.50f, 0.07f, 0.06f}, kVessel{0.62f, 0.20f, 0.18f},
    kDye{0.12f, 0.24f, 0.60f}, kFibrin{0.93f, 0.88f, 0.70f}, kWound{0.88f, 0.72f, 0.62f};

}  // namespace

EndoscopyScene::EndoscopyScene(int class_id, Rng& rng)
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

Surface EndoscopyScene::At(float x, float y) const {
  switch (class_id_) {
    case 0:
      return DyedLiftedPolyp(x, y);
    case 1:
      return DyedResectionMargin(x, y);
    case 2:
      return ZLine(x, y, 0.15f + 0.85f * strength_);
    case 3:
      return Cecum(x, y);
    case 4:
      return Pylorus(x, y);
    // A few normal ones are a little red, too.
    case 5:
      return ZLine(x, y, 0.40f * strength_ * strength_ * strength_ * strength_);
    case 6:
      return Polyp(x, y);
    default:
      return Colitis(x, y);
  }
}

float EndoscopyScene::LumenDistance(float x, float y) const {
  const float bend = 0.25f * (broad_.Fractal(1.3f * x, 1.3f * y, 2) - 0.5f);
  return std::hypot(x - lumen_x_ + bend, y - lumen_y_ - bend);
}
float EndoscopyScene::SpotDistance(float x, float y) const {
  const float dx = (x - spot_x_) * spot_stretch_;
  const float dy = (y - spot_y_) / spot_stretch_;
  const float rim = 0.35f * (broad_.Fractal(3 * x + 9, 3 * y, 3) - 0.5f);
  return std::hypot(dx, dy) / spot_size_ + rim;
}

Surface EndoscopyScene::Colon(float x, float y, const Rgb& base) const {
  Surface s;
  const float d = LumenDistance(x, y);
  const float wave =
      std::sin(kPi * fold_waves_ * std::log(0.15f + d) + 7 * broad_.Fractal(1.1f * x, 1.1f * y, 2));
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

void EndoscopyScene::AddDome(Surface& s, float d, float height) const {
  // It stands in front of the folds and of the lumen.
  const float on = 1 - Ramp(0.75f, 1.05f, d);
  s.light = std::max(s.light, 0.92f * on);
  s.height *= 1 - 0.8f * on;
  const float inside = std::max(0.0f, 1 - d * d / 1.1f);
  s.height += height * (inside * std::sqrt(inside) + 0.35f * Bell(d, 1.3f));
}

Surface EndoscopyScene::Polyp(float x, float y) const {
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
Surface EndoscopyScene::DyedLiftedPolyp(float x, float y) const {
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
Surface EndoscopyScene::DyedResectionMargin(float x, float y) const {
  Surface s = Colon(x, y, kPink);
  const float d = SpotDistance(x, y) + 0.35f * (patches_.Fractal(6 * x, 6 * y, 3) - 0.5f);
  const float ground = 1 - Ramp(0.72f, 0.92f, d);
  AddDome(s, 0.6f * d, 0.4f * bump_);
  s.height -= 0.06f * ground;
  const float stain = patches_.Fractal(3.5f * x + 7, 3.5f * y, 4);
  s.colour = Mix(s.colour, kDye, dye_ * Bell(std::max(0.0f, d - 1), 0.55f) * (0.5f + 0.8f * stain));
  const Rgb wound = Mix(Mix(kWound, kDye, 0.55f * stain), kBlood,
                        1.6f * (fine_.Fractal(4 * x, 4 * y, 3) - 0.52f));
  s.colour = Mix(s.colour, wound, ground * (0.45f + 0.5f * strength_));
  s.gloss += 0.3f;
  return s;
}

// Pale squamous mucosa outside, red gastric mucosa inside of a ragged line; inflammation
// as streaks across it.
Surface EndoscopyScene::ZLine(float x, float y, float inflammation) const {
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
  const float streak = Ramp(0.58f - 0.22f * inflammation, 0.68f - 0.10f * inflammation,
                            patches_.Fractal(4.5f * cx + 0.5f * d, 4.5f * cy + 11, 3));
  const float breaks = inflammation * streak * reach * (1 - inside);
  s.colour = Mix(s.colour, kBlood, 0.9f * breaks);
  const float fibrin = Ramp(0.58f, 0.70f, fine_.Fractal(9 * x, 9 * y, 3));
  s.colour = Mix(s.colour, kFibrin, 1.3f * inflammation * breaks * fibrin);
  s.colour = Mix(s.colour, kSalmon, 0.35f * inflammation * reach * (1 - inside));
  s.gloss = 0.6f;
  return s;
}

// A wide blind end: folds that meet, and the appendix's opening.
Surface EndoscopyScene::Cecum(float x, float y) const {
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
Surface EndoscopyScene::Pylorus(float x, float y) const {
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
  s.colour = Mix(Mix(kPink, kOrange, strength_), kSalmon, broad_.Fractal(3 * x, 3 * y, 4) - 0.15f);
  s.gloss = 0.9f;
  return s;
}

// Granular and red, without vessels; fibrin on ulcers, and blood.
Surface EndoscopyScene::Colitis(float x, float y) const {
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

}  // namespace mead::dataset
