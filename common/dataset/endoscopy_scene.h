// What an endoscope looks at in synth.h's pictures: tissue as a height field with colours, one kind
// per class. Coordinates: the picture spans about [-1, 1] in both directions.
//
// Thread: immutable after construction.
#pragma once

#include <algorithm>
#include <cmath>

#include "common/base/rng.h"
#include "common/dataset/noise.h"

namespace mead::dataset {

struct Rgb {
  float r = 0, g = 0, b = 0;  // linear-ish, 0 to 1
};
inline Rgb Mix(const Rgb& a, const Rgb& b, float t) {
  t = std::clamp(t, 0.0f, 1.0f);
  return {a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}
inline Rgb Scale(const Rgb& a, float s) { return {a.r * s, a.g * s, a.b * s}; }
inline float Ramp(float low, float high, float x) {  // smooth, 0 below low, 1 above high
  const float t = std::clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}
inline float Bell(float x, float width) { return std::exp(-x * x / (width * width)); }

// One point of the tissue.
struct Surface {
  float height = 0;
  Rgb colour;
  float gloss = 0.5f;
  float light = 1;  // 0 in a lumen, where the lamp does not reach
};

class EndoscopyScene {
 public:
  // class_id: index into kKvasirClasses. Draws the shapes' sizes and places from rng.
  EndoscopyScene(int class_id, Rng& rng);

  Surface At(float x, float y) const;

  // The light's colour cast: a factor per channel.
  const Rgb& tint() const { return tint_; }

 private:
  float LumenDistance(float x, float y) const;
  // Distance from the spot's centre in units of its size, with an uneven rim.
  float SpotDistance(float x, float y) const;
  void AddDome(Surface& s, float d, float height) const;

  // The wall of the colon: folds around a lumen, and vessels.
  Surface Colon(float x, float y, const Rgb& base) const;
  Surface Polyp(float x, float y) const;
  Surface DyedLiftedPolyp(float x, float y) const;
  Surface DyedResectionMargin(float x, float y) const;
  // inflammation: 0 none, to 1 with long red breaks and fibrin.
  Surface ZLine(float x, float y, float inflammation) const;
  Surface Cecum(float x, float y) const;
  Surface Pylorus(float x, float y) const;
  Surface Colitis(float x, float y) const;

  const int class_id_;
  const Noise broad_, fine_, veins_, patches_;
  Rgb tint_;
  float lumen_x_, lumen_y_, lumen_size_, fold_waves_, fold_depth_;
  float spot_x_, spot_y_, spot_size_, spot_stretch_;
  float strength_;  // of what makes the class, 0 to 1
  float dye_, ring_, veins_strength_, bump_;
  bool other_polyp_;
};

}  // namespace mead::dataset
