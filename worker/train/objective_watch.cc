#include "worker/train/objective_watch.h"

#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

constexpr const char* kPlateauKey = "watch.plateau";
constexpr const char* kStoppingKey = "watch.stopping";

// The shortest text that reads back as the same number.
std::string Exact(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::string ToText(const BestSoFar& best) {
  return std::to_string(best.any ? 1 : 0) + " " + Exact(best.best) + " " +
         std::to_string(best.waited);
}

bool Read(std::istream& in, BestSoFar& out) {
  int any = 0;
  std::string best;
  if (!(in >> any >> best >> out.waited)) return false;
  const auto parsed = std::from_chars(best.data(), best.data() + best.size(), out.best);
  out.any = any != 0;
  return parsed.ec == std::errc() && parsed.ptr == best.data() + best.size();
}

}  // namespace

void BestSoFar::Add(double figure, bool maximize, double min_delta) {
  const double gain = maximize ? figure - best : best - figure;
  if (!std::isnan(figure) && (!any || gain > min_delta)) {
    *this = {.any = true, .best = figure, .waited = 0};
  } else {
    ++waited;
  }
}

void ObjectiveWatch::EnterPhase(int index) {
  if (index == phase_) return;
  phase_ = index;
  cuts_ = 0;
  plateau_ = {};
}

void ObjectiveWatch::Add(double objective) {
  stopping_.Add(objective, options_.maximize, options_.stop_min_delta);
  plateau_.Add(objective, options_.maximize, /*min_delta=*/0);
  if (plateau_.waited >= options_.patience) {
    ++cuts_;
    plateau_.waited = 0;
  }
}

std::map<std::string, std::string> ObjectiveWatch::ToMetadata() const {
  std::map<std::string, std::string> metadata;
  if (options_.schedule == ScheduleKind::kPlateau) {
    metadata[kPlateauKey] =
        std::to_string(phase_) + " " + std::to_string(cuts_) + " " + ToText(plateau_);
  }
  if (options_.stop_patience > 0) metadata[kStoppingKey] = ToText(stopping_);
  return metadata;
}

void ObjectiveWatch::FromMetadata(const std::map<std::string, std::string>& metadata) {
  phase_ = 0;
  cuts_ = 0;
  plateau_ = {};
  stopping_ = {};
  auto read = [&](const char* key, auto&& parse) {
    const auto found = metadata.find(key);
    if (found == metadata.end()) return;
    std::istringstream in(found->second);
    if (parse(in)) return;
    throw TrainError(ErrorKind::kUserError, "the checkpoint's '" + std::string(key) + "' is '" +
                                                found->second +
                                                "', which this version does not read");
  };
  read(kPlateauKey,
       [&](std::istream& in) { return (in >> phase_ >> cuts_) && Read(in, plateau_); });
  read(kStoppingKey, [&](std::istream& in) { return Read(in, stopping_); });
}

}  // namespace mead::train
