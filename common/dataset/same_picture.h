// Whether two thumbnails show one picture: recompressed, resized, cropped or lit a little
// differently, or the next frame of a video.
//
// Endoscope frames look alike: a round picture, dark corners, light that falls off. So neither
// brightness nor shape counts, but the tissue's detail: what is dark is masked, the slow part is
// taken away, and the rest is compared by normalised correlation after the two have been laid over
// each other (shift and stretch per axis), to a fraction of a thumbnail's pixel.
// Source: Evangelidis and Psarakis, Parametric Image Alignment Using Enhanced Correlation
//   Coefficient Maximization, TPAMI 2008; here as Gauss-Newton steps with gain and offset among the
//   unknowns (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004, part 3).
// Thread: pure functions.
#pragma once

#include <vector>

#include "common/dataset/thumbnail.h"

namespace mead::dataset {

// A thumbnail prepared for comparing.
struct Detail {
  std::vector<float> values;   // [side, side], mean 0 and variance about 1 where weights are 1
  std::vector<float> smooth;   // values, blurred: what the first steps of laying over look at
  std::vector<float> weights;  // [side, side], 0 or 1
  // Too little to compare by: a constant picture, or nearly so.
  bool blank = true;
};

Detail DetailOf(const Thumbnail& thumbnail);

// The correlation of the details where both have some, in [-1, 1], after laying b over a; 0 if
// either is blank, if they overlap too little, or as soon as it is clear that they differ.
double Similarity(const Detail& a, const Detail& b);

// From this similarity on two pictures count as one. On the 1,500 colonoscopy frames of CP-CHILD-B
// and 200 polyps of Kvasir, different scenes stay below 0.46, neighbouring frames of a video lie
// between 0.6 and 1, and 999 in 1,000 recompressed, resized, cropped or relit copies above 0.88.
// Pictures of a single simple shape on smooth ground can come near it without being copies.
inline constexpr double kSamePicture = 0.78;

}  // namespace mead::dataset
