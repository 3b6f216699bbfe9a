#include "worker/train/state/checkpoint.h"

#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "worker/train/state/safetensors.h"
#include "worker/train/state/weights.h"

namespace mead::train {
namespace {

constexpr const char* kVersionKey = "mead.checkpoint";
constexpr const char* kVersion = "2";
// Without checksums.
constexpr const char* kFirstVersion = "1";
constexpr const char* kNotePrefix = "watch.";
// Left out where every stage's weights came from a file, or none was read.
constexpr const char* kAtRandomKey = "at_random";

// What must agree between the run that wrote a checkpoint and the one that reads it.
std::map<std::string, std::string> Identity(const TrainOptions& options) {
  std::map<std::string, std::string> identity = {
      {"model", options.model},
      {"num_classes", std::to_string(options.num_classes)},
      {"optimizer", std::string(OptimizerName(options.optimizer.kind))},
      {"steps_per_epoch", std::to_string(options.steps_per_epoch)},
      {"seed", std::to_string(options.seed)}};
  // Older checkpoints have no such key, and the other stride.
  if (options.stride_in_first) identity["stride"] = "v1";
  return identity;
}

int64_t Number(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  int64_t value = -1;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) value = -1;
  }
  if (value < 0) {
    throw TrainError(ErrorKind::kUserError,
                     file.path() + ": the checkpoint's '" + key + "' is missing or no number");
  }
  return value;
}

[[noreturn]] void FailForeign(const std::string& path, const std::string& missing) {
  throw TrainError(ErrorKind::kUserError, path + ": not a checkpoint of a trial ('" + missing +
                                              "' is missing); to start from it, name it as the "
                                              "weights");
}

void CheckVersion(const SafetensorsFile& file) {
  const auto version = file.metadata().find(kVersionKey);
  if (version == file.metadata().end()) FailForeign(file.path(), kVersionKey);
  if (version->second == kFirstVersion) return;
  if (version->second != kVersion) {
    throw TrainError(ErrorKind::kUserError, file.path() + ": a checkpoint of format " +
                                                version->second + ", and this program reads " +
                                                kFirstVersion + " and " + kVersion);
  }
  // Only damage takes them away.
  if (!file.metadata().contains(kChecksumsKey)) FailForeign(file.path(), kChecksumsKey);
}

std::string Hex(double value) {
  std::array<char, 32> text;
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::hex);
  return {text.data(), end};
}

double Real(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  double value = 0;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value, std::chars_format::hex);
    if (error == std::errc() && end == last) return value;
  }
  throw TrainError(ErrorKind::kUserError,
                   file.path() + ": the checkpoint's '" + key + "' is missing or no number");
}

void AppendSoFar(const EpochSoFar& so_far, std::map<std::string, std::string>& metadata) {
  if (so_far.steps == 0) return;
  metadata["step"] = std::to_string(so_far.steps);
  metadata["loss_sum"] = Hex(so_far.loss_sum);
  metadata["correct"] = std::to_string(so_far.correct);
  metadata["samples"] = std::to_string(so_far.samples);
  metadata["learning_rate"] = Hex(so_far.learning_rate);
  metadata["seconds"] = Hex(so_far.seconds);
  metadata["ledger"] = LedgerText(so_far.ledger);
}

EpochSoFar SoFarIn(const SafetensorsFile& file, const TrainOptions& options) {
  if (!file.metadata().contains("step")) return {};
  EpochSoFar so_far{.steps = Number(file, "step"),
                    .loss_sum = Real(file, "loss_sum"),
                    .correct = Number(file, "correct"),
                    .samples = Number(file, "samples"),
                    .learning_rate = Real(file, "learning_rate"),
                    .seconds = Real(file, "seconds"),
                    .ledger = {}};
  const auto ledger = file.metadata().find("ledger");
  std::optional<std::vector<LedgerEntry>> entries;
  if (ledger != file.metadata().end()) entries = LedgerFromText(ledger->second);
  if (!entries || so_far.steps >= options.steps_per_epoch) {
    throw TrainError(ErrorKind::kUserError,
                     file.path() + ": the checkpoint's " +
                         (entries ? "step " + std::to_string(so_far.steps) + " is not one of " +
                                        std::to_string(options.steps_per_epoch) + " of an epoch"
                                  : "ledger is missing or none"));
  }
  so_far.ledger = *std::move(entries);
  return so_far;
}

// Where a trial's body was one group, all its stages had made as many steps as it.
void FindStepsOfWholeBody(const SafetensorsFile& file, std::vector<NamedTensor>& targets) {
  const std::string steps = std::string(kOptimizerPrefix) + "steps.";
  if (!file.tensors().contains(steps + "body")) return;
  for (NamedTensor& target : targets) {
    if (target.name.starts_with(steps + "layer")) target.name = steps + "body";
  }
}

}  // namespace

void WriteCheckpoint(const std::string& path, const TrainOptions& options, const TrainState& state,
                     const ResumePoint& point, const std::function<void()>& data_read) {
  std::vector<TensorData> tensors;
  AppendForWriting(state.model, "", tensors);
  AppendForWriting(state.optimizer, kOptimizerPrefix, tensors);
  std::map<std::string, std::string> metadata = Identity(options);
  metadata.emplace(kVersionKey, kVersion);
  metadata.emplace(kChecksumsKey, std::string());
  metadata.insert(point.notes.begin(), point.notes.end());
  metadata["epoch"] = std::to_string(point.epoch);
  metadata["global_step"] = std::to_string(point.global_step);
  if (!point.at_random.empty()) metadata[kAtRandomKey] = point.at_random;
  AppendSoFar(point.so_far, metadata);
  WriteSafetensors(path, std::move(tensors), metadata, data_read);
}

ResumePoint ReadCheckpoint(const std::string& path, const TrainOptions& options,
                           const TrainState& state) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  CheckVersion(file);
  for (const auto& [key, expected] : Identity(options)) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) FailForeign(path, key);
    if (found->second != expected) {
      throw TrainError(ErrorKind::kUserError, path + ": the checkpoint has " + key + " " +
                                                  found->second + " and this trial has " +
                                                  expected + "; it cannot go on from there");
    }
  }
  ResumePoint point{.epoch = static_cast<int>(Number(file, "epoch")),
                    .global_step = Number(file, "global_step"),
                    .so_far = SoFarIn(file, options)};
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(kNotePrefix)) point.notes[key] = value;
    if (key == kAtRandomKey) point.at_random = value;
  }
  std::vector<NamedTensor> targets = state.model;
  for (const NamedTensor& item : state.optimizer) {
    targets.push_back({kOptimizerPrefix + item.name, item.tensor});
  }
  FindStepsOfWholeBody(file, targets);
  const WeightsReport report = CopyFromFile(file, targets, {});
  if (report.loaded.size() != targets.size() || !report.unexpected.empty()) {
    throw TrainError(
        ErrorKind::kUserError,
        path + ": the checkpoint does not hold this trial's state: " + report.Summary());
  }
  return point;
}

}  // namespace mead::train
