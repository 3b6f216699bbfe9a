// The whole training step on a GPU: as graph and launch by launch, against the CPU.
//
// step_gpu_check
// Prints what differs and "N passed, N failed". Exit status 1 where something failed,
// 77 where there is no GPU.
#include <ATen/Context.h>
#include <cuda_runtime_api.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "tests/gpu/tally.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

constexpr int kSide = 64;
constexpr int kBatch = 16;
constexpr int kClasses = 8;

Tally tally;

void Expect(const std::string& what, bool good) { tally.Add(what, good); }

TrainOptions Options(const std::string& device, Precision precision) {
  TrainOptions options;
  options.model = "resnet18";
  options.num_classes = kClasses;
  options.image_size = kSide;
  options.batch_size = kBatch;
  options.steps_per_epoch = 10;
  options.epochs = 4;
  options.schedule = ScheduleKind::kConstant;
  options.optimizer.lr = 0.005;
  options.precision = precision;
  options.device = device;
  options.threads = 4;
  return options;
}

// The losses of steps [first, last); step s has its own pictures. The seventh step's
// batch is a short one, which no graph holds.
std::vector<double> Losses(TrainingSession& session, int first, int last) {
  std::vector<double> losses;
  for (int step = first; step < last; ++step) {
    const int n = step == 6 ? kBatch - 3 : kBatch;
    Rng rng(static_cast<uint64_t>(step) + 1);
    std::vector<uint8_t> pixels(static_cast<size_t>(n) * kSide * kSide * 3);
    for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
    std::vector<int32_t> labels(static_cast<size_t>(n));
    for (int32_t& label : labels) label = static_cast<int32_t>(rng.Below(kClasses));
    session.StartStep(pixels.data(), labels.data(), n, n);
    for (const StepResult& result : session.FinishedSteps(false)) losses.push_back(result.loss);
  }
  for (const StepResult& result : session.FinishedSteps(true)) losses.push_back(result.loss);
  return losses;
}

std::shared_ptr<Communicator> Alone(const std::string& device) {
  CommunicatorOptions options;
  options.device = device;
  return MakeCommunicator(options, nullptr);
}

void ExpectClose(const std::string& what, const std::vector<double>& a,
                 const std::vector<double>& b, double tolerance) {
  Expect(what + ": as many steps", a.size() == b.size());
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    Expect(what + ", step " + std::to_string(i) + ": " + std::to_string(a[i]) + " and " +
               std::to_string(b[i]),
           std::abs(a[i] - b[i]) <= tolerance * std::abs(b[i]));
  }
}

void CheckLosses(Precision precision, double tolerance) {
  const std::string name = precision == Precision::kBf16 ? "bf16" : "fp32";
  TrainingSession cpu(Options("cpu", precision), Alone("cpu"));
  TrainingSession gpu(Options("cuda:0", precision), Alone("cuda:0"));
  const std::vector<double> on_gpu = Losses(gpu, 0, 10);
  ExpectClose(name + ", GPU against CPU", on_gpu, Losses(cpu, 0, 10), tolerance);

  // From a checkpoint the next steps run launch by launch again.
  TrainingSession first(Options("cuda:0", precision), Alone("cuda:0"));
  std::vector<double> halves = Losses(first, 0, 4);
  const std::string path = "/tmp/step_gpu_check-" + std::to_string(getpid()) + ".safetensors";
  first.SaveCheckpoint(path, 1);
  TrainingSession second(Options("cuda:0", precision), Alone("cuda:0"));
  second.Resume(path);
  unlink(path.c_str());
  for (const double loss : Losses(second, 4, 10)) halves.push_back(loss);
  ExpectClose(name + ", resumed against recorded", halves, on_gpu, tolerance / 2);
}

// The body is frozen in the first epoch: another set of buckets, another graph.
void CheckPhases() {
  std::vector<std::vector<double>> losses;
  for (const std::string device : {"cpu", "cuda:0"}) {
    TrainOptions options = Options(device, Precision::kFp32);
    options.phases = {{.epochs = 1, .freeze_body = true}, {.epochs = 3}};
    TrainingSession session(options, Alone(device));
    session.StartEpoch(1);
    losses.push_back(Losses(session, 0, 6));
    session.StartEpoch(2);
    for (const double loss : Losses(session, 0, 6)) losses.back().push_back(loss);
  }
  ExpectClose("a frozen body, then all", losses[1], losses[0], 2e-3);
}

void CheckDivergence() {
  TrainOptions options = Options("cuda:0", Precision::kBf16);
  options.optimizer.lr = 1e30;
  TrainingSession session(options, Alone("cuda:0"));
  try {
    Losses(session, 0, 10);
    Expect("a rate of 1e30 diverges", false);
  } catch (const TrainError& error) {
    Expect(std::string("the kind of: ") + error.what(), error.kind() == ErrorKind::kDiverged);
  }
}

}  // namespace
}  // namespace mead::train

int main() {
  return mead::train::RunOnGpu(mead::train::tally, [] {
    using mead::train::Precision;
    // Not in TF32: pictures without sense amplify its errors a hundredfold in ten steps.
    at::globalContext().setAllowTF32CuDNN(false);
    mead::train::CheckLosses(Precision::kFp32, 2e-3);
    mead::train::CheckLosses(Precision::kBf16, 0.06);
    mead::train::CheckPhases();
    mead::train::CheckDivergence();
  });
}
