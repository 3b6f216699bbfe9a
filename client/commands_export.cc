// mead export: a trial's model and figures in the forms that other programs read.
#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/commands_model.h"
#include "client/event_file.h"
#include "client/format.h"
#include "client/mlflow_store.h"
#include "client/torch_file.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using Json = nlohmann::json;
using SweepStub = ::mead::v1::SweepService::Stub;

// What all formats draw from.
struct Source {
  Session* session = nullptr;
  mead::v1::GetTrialResponse trial;
  mead::v1::GetMetricsResponse metrics;
  WhichEpoch which = WhichEpoch::kBest;
  std::filesystem::path to;

  absl::StatusOr<TrainedModel> Model() const {
    return TrainedModel::Find(*session, trial.trial().id(), which);
  }
};

Json ToTree(const google::protobuf::Message& message) {
  return Json::parse(ToJson(message), nullptr, /*allow_exceptions=*/false);
}

// Class names are the user's, and may hold what CSV is made of.
std::string CsvCell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

// One row an epoch, or, of a range test, a step; of a metric that was reported twice (a restart)
// the later counts.
std::string MetricsCsv(const mead::v1::GetMetricsResponse& metrics) {
  std::map<std::pair<int, int64_t>, std::map<std::string, double>> rows;
  std::map<std::string, bool> names;
  for (const mead::v1::MetricPoint& point : metrics.points()) {
    rows[{point.epoch(), point.step()}][point.name()] = point.value();
    names[point.name()] = true;
  }
  std::string csv = "epoch,step";
  for (const auto& [name, present] : names) absl::StrAppend(&csv, ",", CsvCell(name));
  csv += "\n";
  for (const auto& [place, values] : rows) {
    absl::StrAppend(&csv, place.first, ",", place.second);
    for (const auto& [name, present] : names) {
      const auto value = values.find(name);
      csv += ",";
      if (value != values.end()) absl::StrAppendFormat(&csv, "%.17g", value->second);
    }
    csv += "\n";
  }
  return csv;
}

absl::StatusOr<std::vector<std::string>> ExportCsv(const Source& source) {
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(source.to / "metrics.csv", MetricsCsv(source.metrics)));
  std::string csv = "parameter,value\n";
  for (const mead::v1::Param& param : source.trial.trial().params()) {
    absl::StrAppend(&csv, CsvCell(param.path()), ",", CsvCell(ParamText(param.value())), "\n");
  }
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(source.to / "parameters.csv", csv));
  return std::vector<std::string>{"metrics.csv", "parameters.csv"};
}

std::string TrialJson(const Source& source) {
  const Json json = {{"trial", ToTree(source.trial.trial())},
                     {"config", ToTree(source.trial.config())},
                     {"metrics", ToTree(source.metrics).value("points", Json::array())}};
  return json.dump(2) + "\n";
}

absl::StatusOr<std::vector<std::string>> ExportJson(const Source& source) {
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(source.to / "trial.json", TrialJson(source)));
  return std::vector<std::string>{"trial.json"};
}

absl::StatusOr<std::vector<std::string>> ExportMlflow(const Source& source) {
  MEAD_ASSIGN_OR_RETURN(const std::string run, WriteMlflowRun(source.to / "mlruns", source.trial,
                                                              source.metrics, TrialJson(source)));
  return std::vector<std::string>{"mlruns/" + run};
}

absl::StatusOr<std::vector<std::string>> ExportTensorboard(const Source& source) {
  if (source.metrics.points().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(source.trial.trial().id(), " has not reported any metric yet"));
  }
  const auto seconds = [](const mead::v1::MetricPoint& point) {
    return static_cast<double>(absl::ToUnixMicros(FromProto(point.time()))) / 1e6;
  };
  const double start = seconds(source.metrics.points(0));
  EventFile events(start);
  for (const mead::v1::MetricPoint& point : source.metrics.points()) {
    events.AddScalar(seconds(point), point.step(), point.name(), static_cast<float>(point.value()));
  }
  // TensorBoard takes each folder for a run. The same trial gives the same name again.
  const std::string run = source.trial.trial().id();
  MEAD_RETURN_IF_ERROR(MakeDirs(source.to / run));
  const std::string name =
      absl::StrFormat("%s/events.out.tfevents.%010d.mead", run, static_cast<int64_t>(start));
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(source.to / name, events.bytes()));
  return std::vector<std::string>{name};
}

// What a program must know beside the weights.
absl::Status WriteCard(const Source& source, const TrainedModel& model) {
  const mead::v1::TrainConfig& config = model.trial().config();
  const std::string position_box =
      config.augment().has_position_box() ? config.augment().position_box() : "keep";
  Json metrics = Json::object();
  for (const auto& [name, value] : model.metrics()) metrics[name] = value;
  const Json card = {
      {"trial", model.trial().trial().id()},
      {"epoch", model.checkpoint().epoch()},
      {"model", config.model()},
      // torchvision's models are v1.5; v1 gives other outputs in them.
      {"stride", config.has_stride() ? config.stride() : "v1.5"},
      {"classes", model.classes()},
      {"averaged_weights", model.file().averaged()},
      {"input",
       {{"size", model.image_size()},
        {"position_box", position_box},
        {"prepare",
         "RGB; the shorter side resized to size, the centre cut out; (value / 255 - mean) / std"},
        {"mean", {0.485, 0.456, 0.406}},
        {"std", {0.229, 0.224, 0.225}}}},
      {"metrics", metrics}};
  return WriteFileAtomically(source.to / "model.json",
                             card.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

absl::StatusOr<std::vector<std::string>> ExportTorchvision(const Source& source) {
  MEAD_ASSIGN_OR_RETURN(const TrainedModel model, source.Model());
  TorchFileWriter writer;
  for (const ModelFile::Entry& entry : model.file().tensors()) {
    MEAD_ASSIGN_OR_RETURN(const std::string data, model.file().Read(entry));
    MEAD_RETURN_IF_ERROR(writer.Add(entry.name, entry.tensor, data));
  }
  MEAD_ASSIGN_OR_RETURN(const std::string file, writer.Finish());
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(source.to / "model.pth", file));
  MEAD_RETURN_IF_ERROR(WriteCard(source, model));
  return std::vector<std::string>{"model.pth", "model.json"};
}

absl::StatusOr<std::vector<std::string>> ExportSafetensors(const Source& source) {
  MEAD_ASSIGN_OR_RETURN(const TrainedModel model, source.Model());
  MEAD_RETURN_IF_ERROR(model.WriteSafetensors(source.to / "model.safetensors"));
  MEAD_RETURN_IF_ERROR(WriteCard(source, model));
  return std::vector<std::string>{"model.safetensors", "model.json"};
}

using Exporter = absl::StatusOr<std::vector<std::string>> (*)(const Source&);

const std::map<std::string, Exporter>& Exporters() {
  static const auto& exporters =
      *new std::map<std::string, Exporter>{{"csv", &ExportCsv},
                                           {"json", &ExportJson},
                                           {"mlflow", &ExportMlflow},
                                           {"safetensors", &ExportSafetensors},
                                           {"tensorboard", &ExportTensorboard},
                                           {"torchvision", &ExportTorchvision}};
  return exporters;
}

}  // namespace

std::vector<std::string> ExportFormats() {
  std::vector<std::string> names;
  for (const auto& [name, exporter] : Exporters()) names.push_back(name);
  return names;
}

absl::StatusOr<int> Export(Session& session, const std::string& trial,
                           const ExportOptions& options) {
  const auto exporter = Exporters().find(options.format);
  if (exporter == Exporters().end()) {
    return absl::InvalidArgumentError(absl::StrCat("no format '", options.format, "'; there are ",
                                                   absl::StrJoin(ExportFormats(), ", ")));
  }
  Source source;
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  source.session = &session;
  source.which = options.epoch;
  source.to = options.to;
  mead::v1::GetTrialRequest request;
  request.set_trial_id(trial);
  MEAD_RETURN_IF_ERROR(
      server->Call(server->sweeps(), &SweepStub::GetTrial, request, &source.trial));
  mead::v1::GetMetricsRequest metrics;
  metrics.set_trial_id(source.trial.trial().id());
  MEAD_RETURN_IF_ERROR(
      server->Call(server->sweeps(), &SweepStub::GetMetrics, metrics, &source.metrics));
  MEAD_RETURN_IF_ERROR(MakeDirs(source.to));
  MEAD_ASSIGN_OR_RETURN(const std::vector<std::string> files, exporter->second(source));
  Json list = Json::array();
  for (const std::string& name : files) list.push_back((source.to / name).string());
  if (session.format == OutputFormat::kJson) {
    session.terminal.out << Json{{"files", list}}.dump(2) << "\n";
    return kExitDone;
  }
  for (const std::string& name : files) {
    session.terminal.out << (source.to / name).string() << "\n";
  }
  return kExitDone;
}

}  // namespace mead::client
