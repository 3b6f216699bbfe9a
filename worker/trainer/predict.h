// One model's classes for pictures on this machine: `mead-trainer --predict`, which `mead predict`
// starts. The pictures go through what evaluation does to them.
//
// Protocol: a JSON object on standard input,
//   {"weights": PATH, "model": "resnet50", "num_classes": 8, "image_size": 224,
//    "precision": "fp32", "threads": 2, "images": [PATH, ...], "benchmark_seconds": 3},
//   and a JSON object per line on standard output, in the order of the images:
//   {"image": PATH, "log_probabilities": [K numbers]} or {"image": PATH, "error": TEXT}.
//   With benchmark_seconds above 0, then one per batch size (inference_speed.h):
//   {"batch": 16, "decode_to_answer": 41.5, "network": 60.2, "images": 128}.
// Thread: the main thread; decoding and the network take turns.
#pragma once

#include <iosfwd>

namespace mead::trainer {

// Returns the exit status: 0 even if single pictures could not be read, 1 if nothing could be
// predicted (then the reason is on standard error), 2 if the request is not as above.
int Predict(std::istream& in, std::ostream& out);

}  // namespace mead::trainer
