#include "worker/train/state/checkpoint.h"

#include <charconv>
#include <map>

#include "worker/train/state/safetensors.h"
#include "worker/train/state/weights.h"

namespace mead::train {
namespace {

constexpr const char* kFormatVersion = "1";
constexpr const char* kNotePrefix = "watch.";

// What must agree between the run that wrote a checkpoint and the one that reads it.
std::map<std::string, std::string> Identity(const TrainOptions& options) {
  std::map<std::string, std::string> identity = {
      {"mead.checkpoint", kFormatVersion},
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

}  // namespace

void WriteCheckpoint(const std::string& path, const TrainOptions& options, const TrainState& state,
                     const ResumePoint& point) {
  std::vector<TensorData> tensors;
  AppendForWriting(state.model, "", tensors);
  AppendForWriting(state.optimizer, kOptimizerPrefix, tensors);
  std::map<std::string, std::string> metadata = Identity(options);
  metadata.insert(point.notes.begin(), point.notes.end());
  metadata["epoch"] = std::to_string(point.epoch);
  metadata["global_step"] = std::to_string(point.global_step);
  WriteSafetensors(path, std::move(tensors), metadata);
}

ResumePoint ReadCheckpoint(const std::string& path, const TrainOptions& options,
                           const TrainState& state) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  for (const auto& [key, expected] : Identity(options)) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) {
      throw TrainError(ErrorKind::kUserError, path + ": not a checkpoint of a trial ('" + key +
                                                  "' is missing); to start from it, name it as "
                                                  "the weights");
    }
    if (found->second != expected) {
      throw TrainError(ErrorKind::kUserError, path + ": the checkpoint has " + key + " " +
                                                  found->second + " and this trial has " +
                                                  expected + "; it cannot go on from there");
    }
  }
  ResumePoint point{.epoch = static_cast<int>(Number(file, "epoch")),
                    .global_step = Number(file, "global_step"),
                    .notes = {}};
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(kNotePrefix)) point.notes[key] = value;
  }
  std::vector<NamedTensor> targets = state.model;
  for (const NamedTensor& item : state.optimizer) {
    targets.push_back({kOptimizerPrefix + item.name, item.tensor});
  }
  const WeightsReport report = CopyFromFile(file, targets, {});
  if (report.loaded.size() != targets.size() || !report.unexpected.empty()) {
    throw TrainError(
        ErrorKind::kUserError,
        path + ": the checkpoint does not hold this trial's state: " + report.Summary());
  }
  return point;
}

}  // namespace mead::train
