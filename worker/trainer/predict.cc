#include "worker/trainer/predict.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/augment/augment_plan.h"
#include "common/augment/augment_words.h"
#include "common/augment/position_box.h"
#include "common/dataset/image.h"
#include "common/files.h"
#include "common/status_util.h"
#include "worker/data/centre_crop.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/config.h"
#include "worker/train/session.h"
#include "worker/trainer/inference_speed.h"

namespace mead::trainer {
namespace {

using Json = nlohmann::json;

constexpr size_t kBatch = 16;

struct Request {
  train::TrainOptions options;
  std::string weights;
  std::vector<std::string> images;
  AugmentOptions picture;  // what is said of pictures in evaluation as well
  double benchmark_seconds = 0;  // per figure; 0: no benchmark
};

// Throws what nlohmann or the training step throws of a request that is not as it should be.
Request Parse(std::istream& in) {
  const Json json = Json::parse(in);
  Request request;
  request.weights = json.at("weights").get<std::string>();
  request.images = json.at("images").get<std::vector<std::string>>();
  request.benchmark_seconds = json.value("benchmark_seconds", 0.0);
  train::TrainOptions& options = request.options;
  options.model = json.at("model").get<std::string>();
  options.num_classes = json.at("num_classes").get<int>();
  options.image_size = json.at("image_size").get<int>();
  options.stride_in_first = train::StrideInFirstFromName(json.value("stride", "v1.5"));
  options.evaluation_views = train::ViewsFromName(json.value("test_time_augment", "none"));
  const std::string position_box = json.value("position_box", "keep");
  const std::optional<PositionBox> treatment = PositionBoxFromName(position_box);
  if (!treatment.has_value()) {
    throw train::TrainError(train::ErrorKind::kUserError,
                            "position_box is keep, mask or crop, got '" + position_box + "'");
  }
  request.picture.position_box = *treatment;
  options.precision = train::PrecisionFromName(json.at("precision").get<std::string>());
  options.threads = std::max(1, json.at("threads").get<int>());
  // What a session wants to know of training; none takes place.
  options.batch_size = kBatch;
  options.steps_per_epoch = 1;
  options.epochs = 1;
  options.resident_bytes = 0;
  train::Validate(options);
  return request;
}

// As the loader does for evaluation.
absl::Status Load(const std::string& path, const Request& request, dataset::ImageDecoder& decoder,
                  uint8_t* out) {
  const int image_size = request.options.image_size;
  MEAD_ASSIGN_OR_RETURN(const std::string file, ReadFile(path));
  MEAD_ASSIGN_OR_RETURN(
      dataset::Image image,
      decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()},
                     DecodeSideFor(request.picture, image_size)));
  const PictureSize size = TreatPositionBox(request.picture.position_box,
                                            {image.width, image.height}, image.pixels);
  data::ResizeCentreCropInto(image.pixels.data(), size, image_size, out);
  return absl::OkStatus();
}

// After the answers, which have warmed everything up. good: the images that could be decoded.
void Benchmark(const Request& request, train::TrainingSession& session,
               const std::vector<std::string>& good, std::ostream& out) {
  const int side = request.options.image_size;
  const auto picture_bytes = static_cast<size_t>(side) * static_cast<size_t>(side) * 3;
  std::vector<uint8_t> pixels(kBatch * picture_bytes);  // [n, side, side, 3]
  const std::vector<int32_t> labels(kBatch, 0);
  dataset::ImageDecoder decoder;
  const auto start = std::chrono::steady_clock::now();
  const InferenceSteps steps = {
      .images = good.size(),
      .seconds = request.benchmark_seconds,
      .now =
          [start] {
            return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
          },
      .load =
          [&](size_t image, int place) {
            const absl::Status loaded =
                Load(good[image], request, decoder,
                     pixels.data() + static_cast<size_t>(place) * picture_bytes);
            if (!loaded.ok()) {
              throw train::TrainError(train::ErrorKind::kUserError, std::string(loaded.message()));
            }
          },
      .answer = [&](int n) { (void)session.EvalStep(pixels.data(), labels.data(), n); }};
  for (const int batch : {1, static_cast<int>(kBatch)}) {
    const InferenceSpeed speed = MeasureInference(steps, batch);
    const Json line = {{"batch", batch},
                       {"decode_to_answer", speed.decode_to_answer},
                       {"network", speed.network},
                       {"images", speed.images}};
    out << line.dump() << "\n" << std::flush;
  }
}

void PredictAll(const Request& request, std::ostream& out) {
  train::TrainingSession session(request.options, train::MakeCommunicator({}, nullptr));
  const train::WeightsReport report = session.LoadWeights(request.weights);
  if (!report.missing.empty() || !report.mismatched.empty()) {
    throw train::TrainError(train::ErrorKind::kUserError,
                            request.weights + " is not of this model: " + report.Summary());
  }
  session.StartEvaluation();
  const int side = request.options.image_size;
  const auto picture_bytes = static_cast<size_t>(side) * static_cast<size_t>(side) * 3;
  const auto k = static_cast<size_t>(request.options.num_classes);
  dataset::ImageDecoder decoder;
  std::vector<std::string> decoded;  // paths
  for (size_t begin = 0; begin < request.images.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, request.images.size());
    std::vector<uint8_t> pixels((end - begin) * picture_bytes);  // [n, side, side, 3]
    std::vector<Json> answers;
    int good = 0;
    for (size_t i = begin; i < end; ++i) {
      uint8_t* const place = pixels.data() + static_cast<size_t>(good) * picture_bytes;
      const absl::Status loaded = Load(request.images[i], request, decoder, place);
      Json answer = {{"image", request.images[i]}};
      if (loaded.ok()) {
        ++good;
        decoded.push_back(request.images[i]);
      } else {
        answer["error"] = std::string(loaded.message());
      }
      answers.push_back(std::move(answer));
    }
    const std::vector<int32_t> labels(static_cast<size_t>(good), 0);  // only their loss needs them
    const train::EvalResult result = session.EvalStep(pixels.data(), labels.data(), good);
    auto next = result.log_probabilities.begin();
    for (Json& answer : answers) {
      if (!answer.contains("error")) {
        const auto last = next + static_cast<std::ptrdiff_t>(k);
        answer["log_probabilities"] = std::vector<float>(next, last);
        next = last;
      }
      out << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n" << std::flush;
    }
  }
  if (request.benchmark_seconds > 0 && !decoded.empty()) Benchmark(request, session, decoded, out);
}

}  // namespace

int Predict(std::istream& in, std::ostream& out) {
  Request request;
  try {
    request = Parse(in);
  } catch (const std::exception& error) {
    std::cerr << "mead-trainer: bad request: " << error.what() << "\n";
    return 2;
  }
  try {
    PredictAll(request, out);
  } catch (const std::exception& error) {
    std::cerr << "mead-trainer: " << error.what() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace mead::trainer
