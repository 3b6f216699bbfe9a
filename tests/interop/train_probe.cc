// Runs pieces of worker/train for test_train.py, which compares with PyTorch.
//
// train_probe logits MODEL CLASSES WEIGHTS INPUT OUT STRIDE
//   INPUT holds "images" [N, 3, H, W] float32; OUT gets "logits" [N, CLASSES]
// train_probe steps MODEL CLASSES WEIGHTS INPUT OUT OPTIMIZER LR SMOOTHING [CLASS_WEIGHT...]
//   INPUT holds "pixels" [steps, N, H, W, 3] uint8 and "labels" [steps, N] int32;
//   one-cycle schedule; prints each step's loss and rate; OUT gets a checkpoint
// train_probe rates SCHEDULE STEPS_PER_EPOCH WARMUP_EPOCHS GAMMA PATIENCE STEP_EPOCH OBJECTIVE...
//   one epoch per objective, which ends it; prints each step's share of the peak rate
// train_probe updates INPUT OUT OPTIMIZER LR WEIGHT_DECAY MAX_NORM EMA_DECAY
//   INPUT holds parameters ("conv", "norm", "fc", "bias") and their gradients at
//   each step ("conv.0", ...); each step clips, updates and averages; OUT gets the
//   parameters, the averages ("ema.conv") and the gradients' norms ("norms")
// train_probe rewrite IN OUT
//   copies every tensor and the metadata
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "worker/train/model/resnet.h"
#include "worker/train/objective_watch.h"
#include "worker/train/optim/clip.h"
#include "worker/train/optim/ema.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/optim/schedule.h"
#include "worker/train/session.h"
#include "worker/train/state/weights.h"

namespace mead::train {
namespace {

at::Tensor Named(const SafetensorsFile& file, const std::string& name) {
  return ReadTensor(file, file.tensors().at(name));
}

void Logits(char** argv) {
  const at::NoGradGuard no_grad;
  ResNet model({.model = argv[2],
                .num_classes = std::stoi(argv[3]),
                .stride_in_first = StrideInFirstFromName(argv[7])});
  std::vector<NamedTensor> tensors = model.parameters();
  tensors.insert(tensors.end(), model.buffers().begin(), model.buffers().end());
  const WeightsReport report = CopyFromWeights(argv[4], tensors, {});
  if (report.loaded.size() != tensors.size() || !report.unexpected.empty()) {
    throw TrainError(ErrorKind::kUserError, report.Summary());
  }
  const at::Tensor images =
      Named(SafetensorsFile::Open(argv[5]), "images").contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor logits = model.Forward(images, NormStatistics::kRunning).contiguous();
  WriteSafetensors(
      argv[6], {{.name = "logits", .shape = logits.sizes().vec(), .data = logits.const_data_ptr()}},
      {});
}

void Steps(int argc, char** argv) {
  const SafetensorsFile input = SafetensorsFile::Open(argv[5]);
  const at::Tensor pixels = Named(input, "pixels");
  const at::Tensor labels = Named(input, "labels");
  const auto batch = static_cast<int>(labels.size(1));
  TrainOptions options;
  options.model = argv[2];
  options.num_classes = std::stoi(argv[3]);
  options.image_size = static_cast<int>(pixels.size(2));
  options.batch_size = batch;
  options.steps_per_epoch = labels.size(0);
  options.epochs = 1;
  options.optimizer.kind = OptimizerFromName(argv[7]);
  options.optimizer.lr = std::stod(argv[8]);
  options.optimizer.weight_decay = 1e-2;
  options.label_smoothing = std::stod(argv[9]);
  options.threads = 2;
  for (int i = 10; i < argc; ++i) options.class_weights.push_back(std::stod(argv[i]));
  TrainingSession session(options, MakeCommunicator({}, nullptr));
  session.LoadWeights(argv[4]);
  for (int64_t step = 0; step < labels.size(0); ++step) {
    const StepResult result =
        session.TrainStep(pixels[step].const_data_ptr<uint8_t>(),
                          labels[step].const_data_ptr<int32_t>(), batch, batch);
    std::printf("%.9g %.9g\n", result.loss, result.learning_rate);
  }
  session.SaveCheckpoint(argv[6], 1);
}

void Rates(int argc, char** argv) {
  TrainOptions options;
  options.schedule = ScheduleFromName(argv[2]);
  options.steps_per_epoch = std::stoll(argv[3]);
  options.warmup_epochs = std::stod(argv[4]);
  options.lr_gamma = std::stod(argv[5]);
  options.patience = std::stoi(argv[6]);
  options.step_epochs = {std::stoi(argv[7]), std::stoi(argv[7]) + 3};
  options.epochs = argc - 8;
  ObjectiveWatch watch(options);
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    for (int64_t step = 0; step < options.steps_per_epoch; ++step) {
      std::printf("%.17g\n",
                  LearningRateFactor(options, epoch * options.steps_per_epoch + step,
                                     options.epochs * options.steps_per_epoch, watch.cuts()));
    }
    watch.Add(std::stod(argv[8 + epoch]));
  }
}

void Updates(char** argv) {
  const SafetensorsFile input = SafetensorsFile::Open(argv[2]);
  std::vector<NamedTensor> body, head;
  for (const char* name : {"conv", "norm"}) body.push_back({name, Named(input, name)});
  for (const char* name : {"fc", "bias"}) head.push_back({name, Named(input, name)});
  std::vector<NamedTensor> all = body;
  all.insert(all.end(), head.begin(), head.end());
  OptimizerOptions options = OptimizerDefaults(OptimizerFromName(argv[4]));
  options.weight_decay = std::stod(argv[6]);
  Optimizer optimizer(options, body, head);
  optimizer.SetRates(std::stod(argv[5]), std::stod(argv[5]));
  WeightAverage average(all, std::stod(argv[8]));
  std::vector<at::Tensor> norms;
  for (int step = 0; input.tensors().contains("conv." + std::to_string(step)); ++step) {
    for (NamedTensor& parameter : all) {
      parameter.tensor.mutable_grad() = Named(input, parameter.name + "." + std::to_string(step));
    }
    norms.push_back(ClipGradNorm(optimizer.Gradients(), std::stod(argv[7])));
    optimizer.Step();
    average.Update();
  }
  std::vector<NamedTensor> results = all;
  results.insert(results.end(), average.state().begin(), average.state().end());
  results.push_back({"norms", at::stack(norms)});
  std::vector<TensorData> tensors;
  AppendForWriting(results, "", tensors);
  WriteSafetensors(argv[3], std::move(tensors), {});
}

void Rewrite(char** argv) {
  const SafetensorsFile file = SafetensorsFile::Open(argv[2]);
  std::vector<std::vector<char>> kept;
  std::vector<TensorData> tensors;
  for (const auto& [name, info] : file.tensors()) {
    kept.emplace_back(static_cast<size_t>(info.bytes));
    file.Read(info, kept.back().data());
    tensors.push_back(
        {.name = name, .dtype = info.dtype, .shape = info.shape, .data = kept.back().data()});
  }
  WriteSafetensors(argv[3], std::move(tensors), file.metadata());
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "logits" && argc == 8) {
      mead::train::Logits(argv);
    } else if (mode == "steps" && argc >= 10) {
      mead::train::Steps(argc, argv);
    } else if (mode == "rates" && argc >= 9) {
      mead::train::Rates(argc, argv);
    } else if (mode == "updates" && argc == 9) {
      mead::train::Updates(argv);
    } else if (mode == "rewrite" && argc == 4) {
      mead::train::Rewrite(argv);
    } else {
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_probe: %s\n", error.what());
    return 1;
  }
  return 0;
}
