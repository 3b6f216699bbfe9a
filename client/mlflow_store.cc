#include "client/mlflow_store.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/format.h"
#include "common/files.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kMaxValueLength = 6000;

int64_t Millis(const google::protobuf::Timestamp& time) {
  return absl::ToUnixMillis(FromProto(time));
}

// MLflow's RunStatus.
int StatusOf(mead::v1::TrialState state) {
  switch (state) {
    case mead::v1::TRIAL_STATE_SUCCEEDED:
      return 3;  // FINISHED
    case mead::v1::TRIAL_STATE_FAILED:
      return 4;  // FAILED
    case mead::v1::TRIAL_STATE_STOPPED:
      return 5;  // KILLED
    case mead::v1::TRIAL_STATE_QUEUED:
      return 2;  // SCHEDULED
    default:
      return 1;  // RUNNING
  }
}

// Any text is YAML as a JSON string.
std::string Quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

void Flatten(const Json& value, const std::string& path, std::map<std::string, std::string>& out) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      Flatten(inner, path.empty() ? key : absl::StrCat(path, ".", key), out);
    }
    return;
  }
  out[path] = value.is_string() ? value.get<std::string>() : value.dump();
}

// The whole configuration, by the sweep file's keys.
std::map<std::string, std::string> Parameters(const mead::v1::TrainConfig& config) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(config, &text, options);
  std::map<std::string, std::string> parameters;
  Flatten(Json::parse(text, nullptr, /*allow_exceptions=*/false), "", parameters);
  return parameters;
}

absl::Status Write(const fs::path& path, const std::string& text) {
  MEAD_RETURN_IF_ERROR(MakeDirs(path.parent_path()));
  return WriteFileAtomically(path, text);
}

// Of two names that become the same here, the later gets a number.
std::string Unused(const std::string& name, std::set<std::string>& used) {
  std::string candidate = MlflowName(name);
  for (int n = 2; !used.insert(candidate).second; ++n) {
    candidate = absl::StrCat(MlflowName(name), "_", n);
  }
  return candidate;
}

absl::Status WriteMetrics(const fs::path& folder, const mead::v1::GetMetricsResponse& metrics) {
  std::map<std::string, std::string> lines;
  for (const mead::v1::MetricPoint& point : metrics.points()) {
    absl::StrAppendFormat(&lines[point.name()], "%d %.17g %d\n", Millis(point.time()),
                          point.value(), point.step());
  }
  std::set<std::string> used;
  for (const auto& [name, text] : lines) {
    MEAD_RETURN_IF_ERROR(Write(folder / Unused(name, used), text));
  }
  return absl::OkStatus();
}

}  // namespace

std::string MlflowName(const std::string& name) {
  // "val/recall/CLASS": the class's own slashes are no folders.
  std::vector<std::string> parts = absl::StrSplit(name, absl::MaxSplits('/', 2));
  for (std::string& part : parts) {
    for (char& c : part) {
      const bool kept = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
                        c == '-' || c == '.' || c == ' ' || c == ':';
      if (!kept) c = '_';
    }
    if (part.find_first_not_of('.') == std::string::npos) {
      part = part.empty() ? "_" : std::string(part.size(), '_');
    }
    // File systems take 255 bytes, MLflow 250 for the whole name.
    part.resize(std::min<size_t>(part.size(), 80));
  }
  return absl::StrJoin(parts, "/");
}

absl::StatusOr<std::string> WriteMlflowRun(const std::string& root,
                                           const mead::v1::GetTrialResponse& response,
                                           const mead::v1::GetMetricsResponse& metrics,
                                           const std::string& artifact) {
  const mead::v1::Trial& trial = response.trial();
  const std::string experiment(DigestHex(DigestOf(trial.sweep_id())).substr(0, 18));
  const std::string run(DigestHex(DigestOf(trial.id())).substr(0, 32));
  const fs::path base = fs::absolute(root);
  const fs::path folder = base / experiment / run;
  std::error_code ignored;  // what is there stays if it cannot be removed, and writing will say so
  fs::remove_all(folder, ignored);

  const int64_t start = Millis(trial.start_time());
  MEAD_RETURN_IF_ERROR(
      Write(base / experiment / "meta.yaml",
            absl::StrCat("artifact_location: ", Quoted((base / experiment).string()),
                         "\ncreation_time: ", start, "\nexperiment_id: ", Quoted(experiment),
                         "\nlast_update_time: ", start, "\nlifecycle_stage: active\nname: ",
                         Quoted(absl::StrCat("mead ", trial.sweep_id())), "\n")));
  MEAD_RETURN_IF_ERROR(Write(
      folder / "meta.yaml",
      absl::StrCat("artifact_uri: ", Quoted((folder / "artifacts").string()), "\nend_time: ",
                   trial.has_end_time() ? absl::StrCat(Millis(trial.end_time())) : "null",
                   "\nentry_point_name: ''\nexperiment_id: ", Quoted(experiment),
                   "\nlifecycle_stage: active\nrun_id: ", Quoted(run),
                   "\nrun_name: ", Quoted(trial.id()), "\nrun_uuid: ", Quoted(run),
                   "\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: ", start,
                   "\nstatus: ", StatusOf(trial.state()), "\ntags: []\nuser_id: ''\n")));
  std::set<std::string> used;
  for (const auto& [name, value] : Parameters(response.config())) {
    MEAD_RETURN_IF_ERROR(
        Write(folder / "params" / Unused(name, used), value.substr(0, kMaxValueLength)));
  }
  MEAD_RETURN_IF_ERROR(WriteMetrics(folder / "metrics", metrics));
  std::map<std::string, std::string> tags = {
      {"mlflow.runName", trial.id()},
      {"mlflow.source.name", "mead"},
      {"mead.sweep", trial.sweep_id()},
      {"mead.configuration", absl::StrCat(trial.configuration())}};
  if (trial.fold() > 0) tags["mead.fold"] = absl::StrCat(trial.fold());
  for (const auto& [name, value] : tags) {
    MEAD_RETURN_IF_ERROR(Write(folder / "tags" / name, value));
  }
  MEAD_RETURN_IF_ERROR(Write(folder / "artifacts" / "trial.json", artifact));
  return absl::StrCat(experiment, "/", run);
}

}  // namespace mead::client
