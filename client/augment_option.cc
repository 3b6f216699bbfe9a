#include "client/augment_option.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/sweep_file.h"
#include "common/augment/augment_words.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

// At the commas that stand in no list.
std::vector<std::string> SplitAssignments(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (const char c : text) {
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c == ',' && depth <= 0) {
      parts.push_back(std::move(part));
      part.clear();
    } else {
      part += c;
    }
  }
  if (!part.empty()) parts.push_back(std::move(part));
  return parts;
}

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<AugmentOptions> ToOptions(const mead::v1::AugmentConfig& config) {
  AugmentOptions out;
  out.rotate = config.rotate();
  if (config.has_flip()) {
    const std::optional<Flip> flip = FlipFromName(config.flip());
    if (!flip) {
      return Wrong(absl::StrCat("augment.flip is '", config.flip(),
                                "': expected none, horizontal, vertical or both"));
    }
    out.flip = *flip;
  }
  if (!config.crop_scale().empty()) {
    if (config.crop_scale_size() != 2) {
      return Wrong(
          absl::StrCat("augment.crop_scale is two shares of the picture's area, [low, "
                       "high], not ",
                       config.crop_scale_size()));
    }
    out.crop_lo = config.crop_scale(0);
    out.crop_hi = config.crop_scale(1);
  }
  out.lighting = config.lighting();
  out.erasing = config.erasing();
  if (config.has_position_box()) {
    const std::optional<PositionBox> box = PositionBoxFromName(config.position_box());
    if (!box) {
      return Wrong(absl::StrCat("augment.position_box is '", config.position_box(),
                                "': expected keep, mask or crop"));
    }
    out.position_box = *box;
  }
  if (const std::string problem = ProblemOf(out); !problem.empty()) return Wrong(problem);
  return out;
}

}  // namespace

absl::StatusOr<ShownTraining> ReadShownTraining(const std::string& augment,
                                                const std::string& sweep) {
  std::vector<std::string> sets;
  for (const std::string& part : SplitAssignments(augment)) {
    sets.push_back(absl::StrCat("train.augment.", part));
  }
  SweepFile file;
  if (sweep.empty()) {
    file = ParseSweep("--augment",
                      "apiVersion: mead/v1\nkind: Sweep\nname: shown\ndataset: shown\n", ".", sets);
  } else {
    MEAD_ASSIGN_OR_RETURN(file, LoadSweepFile(sweep, sets));
  }
  // Weights have no part in it; they may lie on another machine.
  std::erase_if(file.diagnostics, [](const Diagnostic& d) { return d.field == "train.weights"; });
  if (!file.diagnostics.empty()) {
    return Wrong(absl::StrCat(
        "the augmentation cannot be read\n",
        absl::StrReplaceAll(file.DiagnosticsText(), {{"--set train.augment.", "--augment "}})));
  }
  const mead::v1::TrainConfig& train = file.spec.train();
  ShownTraining shown;
  MEAD_ASSIGN_OR_RETURN(shown.augment, ToOptions(train.augment()));
  shown.mix = {.mixup = train.augment().mixup(), .cutmix = train.augment().cutmix()};
  if (const std::string problem = ProblemOf(shown.mix); !problem.empty()) return Wrong(problem);
  if (train.has_image_size()) shown.image_size = train.image_size();
  if (train.has_seed()) shown.seed = train.seed();
  return shown;
}

}  // namespace mead::client
