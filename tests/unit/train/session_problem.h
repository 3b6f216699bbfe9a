// What the tests of a session train: small pictures, and files to compare.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/session.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {

inline constexpr int kSide = 32;

struct Pictures {
  std::vector<uint8_t> pixels;  // [n, side, side, 3]
  std::vector<int32_t> labels;  // [n]
};

// Class c is bright in channel c, amid noise: easy, but not for an untrained network.
inline Pictures MakePictures(int n, int classes, uint64_t seed, int side = kSide) {
  Rng rng(seed);
  Pictures pictures;
  for (int i = 0; i < n; ++i) {
    const auto label = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(classes)));
    pictures.labels.push_back(label);
    for (int pixel = 0; pixel < side * side; ++pixel) {
      for (int channel = 0; channel < 3; ++channel) {
        const uint64_t light = channel == label ? 80 : 0;
        pictures.pixels.push_back(static_cast<uint8_t>(rng.Below(160) + light));
      }
    }
  }
  return pictures;
}

inline TrainOptions Options() {
  TrainOptions options;
  options.model = "resnet18";
  options.num_classes = 3;
  options.image_size = kSide;
  options.batch_size = 8;
  options.steps_per_epoch = 4;
  options.epochs = 3;
  options.optimizer.lr = 0.02;
  return options;
}

inline std::shared_ptr<Communicator> Alone() { return MakeCommunicator({}, nullptr); }

inline std::vector<double> TrainEpoch(TrainingSession& session, int epoch, int64_t steps = 4) {
  std::vector<double> losses;
  session.StartEpoch(epoch);
  for (int64_t step = 0; step < steps; ++step) {
    const Pictures batch = MakePictures(8, 3, static_cast<uint64_t>(100 * epoch + step));
    losses.push_back(session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss);
  }
  return losses;
}

// All tensors of a file, as bytes.
inline std::map<std::string, std::vector<char>> Tensors(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  std::map<std::string, std::vector<char>> tensors;
  for (const auto& [name, info] : file.tensors()) {
    tensors[name].resize(static_cast<size_t>(info.bytes));
    file.Read(info, tensors[name].data());
  }
  return tensors;
}

// The names of float tensors (without the optimizer's) that differ.
inline std::set<std::string> Changed(const std::string& before, const std::string& after) {
  const auto a = Tensors(before);
  const auto b = Tensors(after);
  std::set<std::string> names;
  for (const auto& [name, bytes] : a) {
    if (!name.starts_with("optimizer.") && bytes != b.at(name)) names.insert(name);
  }
  return names;
}

// What the error that f ends with says; it must be a TrainError of that kind.
template <typename F>
std::string ErrorOf(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace mead::train
