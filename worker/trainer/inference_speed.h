// How many pictures a model answers for in a second, as papers report it.
//
// Units: seconds, images per second.
// Thread: the caller's; reading, decoding and the network take turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace mead::trainer {

struct InferenceSteps {
  size_t images = 0;  // one or more; they are used again and again
  // Each figure is measured for so long, and over two batches or more.
  double seconds = 3;
  std::function<double()> now;                        // monotonic
  std::function<void(size_t image, int place)> load;  // file to pixels, into a place of the batch
  std::function<void(int n)> answer;                  // the network on the first n places
};

struct InferenceSpeed {
  double decode_to_answer = 0;
  double network = 0;
  int64_t images = 0;  // that decode_to_answer was measured over
};

// One batch of each kind goes before, unmeasured.
InferenceSpeed MeasureInference(const InferenceSteps& steps, int batch);

}  // namespace mead::trainer
