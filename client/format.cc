#include "client/format.h"

#include <array>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace mead::client {
namespace {

using ::mead::v1::SweepState;
using ::mead::v1::TrialState;

// "TRIAL_STATE_RUNNING" -> "running".
std::string Lower(std::string name, const char* prefix) {
  if (name.rfind(prefix, 0) == 0) name.erase(0, std::string(prefix).size());
  return absl::AsciiStrToLower(name);
}

}  // namespace

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string HumanDuration(absl::Duration duration) {
  const int64_t seconds = std::max<int64_t>(0, std::llround(absl::ToDoubleSeconds(duration)));
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ", seconds % 60, " s");
  if (seconds < 86400) return absl::StrCat(seconds / 3600, " h ", seconds % 3600 / 60, " min");
  return absl::StrCat(seconds / 86400, " d ", seconds % 86400 / 3600, " h");
}

std::string HumanBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string HumanTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromProto(time), absl::LocalTimeZone());
}

std::string Number(double value) { return absl::StrFormat("%.4g", value); }

std::string Percent(double share) { return absl::StrFormat("%.1f %%", 100 * share); }

Cell StateCell(SweepState state) {
  Colour colour = Colour::kNone;
  if (state == SweepState::SWEEP_STATE_SUCCEEDED) colour = Colour::kGreen;
  if (state == SweepState::SWEEP_STATE_FAILED) colour = Colour::kRed;
  if (state == SweepState::SWEEP_STATE_RUNNING) colour = Colour::kCyan;
  if (state == SweepState::SWEEP_STATE_STOPPED) colour = Colour::kYellow;
  return Cell(Lower(mead::v1::SweepState_Name(state), "SWEEP_STATE_"), colour);
}

Cell StateCell(TrialState state) {
  Colour colour = Colour::kNone;
  if (state == TrialState::TRIAL_STATE_SUCCEEDED) colour = Colour::kGreen;
  if (state == TrialState::TRIAL_STATE_FAILED) colour = Colour::kRed;
  if (state == TrialState::TRIAL_STATE_RUNNING) colour = Colour::kCyan;
  if (state == TrialState::TRIAL_STATE_STOPPED) colour = Colour::kYellow;
  return Cell(Lower(mead::v1::TrialState_Name(state), "TRIAL_STATE_"), colour);
}

std::string StateName(mead::v1::SlotState state) {
  return Lower(mead::v1::SlotState_Name(state), "SLOT_STATE_");
}

std::string ParamText(const mead::v1::ParamValue& value) {
  switch (value.kind_case()) {
    case mead::v1::ParamValue::kNumber:
      return Number(value.number());
    case mead::v1::ParamValue::kInteger:
      return absl::StrCat(value.integer());
    case mead::v1::ParamValue::kText:
      return value.text();
    case mead::v1::ParamValue::kFlag:
      return value.flag() ? "true" : "false";
    case mead::v1::ParamValue::KIND_NOT_SET:
      break;
  }
  return "";
}

std::string ParamsText(const google::protobuf::RepeatedPtrField<mead::v1::Param>& params) {
  const auto last_key = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  std::map<std::string, int> uses;
  for (const auto& param : params) ++uses[last_key(param.path())];
  std::string text;
  for (const auto& param : params) {
    const std::string key = last_key(param.path());
    absl::StrAppend(&text, text.empty() ? "" : " ", uses[key] == 1 ? key : param.path(), "=",
                    ParamText(param.value()));
  }
  return text;
}

bool HasEnded(SweepState state) {
  return state == SweepState::SWEEP_STATE_SUCCEEDED || state == SweepState::SWEEP_STATE_FAILED ||
         state == SweepState::SWEEP_STATE_STOPPED;
}

bool HasEnded(TrialState state) {
  return state == TrialState::TRIAL_STATE_SUCCEEDED || state == TrialState::TRIAL_STATE_FAILED ||
         state == TrialState::TRIAL_STATE_STOPPED;
}

}  // namespace mead::client
