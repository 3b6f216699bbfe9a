#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/confusion_view.h"
#include "client/format.h"
#include "client/metric_intervals.h"
#include "client/stream.h"
#include "client/table.h"
#include "common/base/range_test.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using ::mead::v1::GetLogsResponse;
using SweepStub = ::mead::v1::SweepService::Stub;

// A trainer's log line is foreign text: what could steer the terminal is taken out.
std::string Harmless(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\t' || static_cast<unsigned char>(c) >= 0x20) result += c;
  }
  return result;
}

void PrintLogLine(Session& session, const mead::v1::LogLine& line) {
  if (session.format == OutputFormat::kJson) {
    session.terminal.out << ToJson(line, false);
    return;
  }
  if (session.format == OutputFormat::kYaml) {
    session.terminal.out << "---\n" << ToYaml(line);
    return;
  }
  const std::string time =
      absl::FormatTime("%H:%M:%E3S", FromProto(line.time()), absl::LocalTimeZone());
  session.terminal.out << session.terminal.Paint(Colour::kDim,
                                                 absl::StrCat(time, " attempt ", line.attempt(),
                                                              " rank ", line.rank(), " |"))
                       << " " << Harmless(line.text()) << "\n";
}

// Columns of the table without --name, where the trial has them.
constexpr const char* kMainMetrics[] = {"train/loss",   "train/accuracy",         "val/loss",
                                        "val/accuracy", "val/macro_f1",           "val/r_k",
                                        "lr",           "train/images_per_second"};

// Without a confusion matrix, as a trial whose worker is too old to send it, it has none.
MetricIntervals IntervalsOf(Connection& server, const std::string& trial, int epoch) {
  mead::v1::GetConfusionRequest request;
  request.set_trial_id(trial);
  request.set_epoch(epoch);
  mead::v1::GetConfusionResponse response;
  if (!server.Call(server.sweeps(), &SweepStub::GetConfusion, request, &response).ok()) return {};
  return MetricIntervals(response.confusion());
}

}  // namespace

absl::StatusOr<int> Logs(Session& session, const std::string& trial, bool follow) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetLogsRequest request;
  request.set_trial_id(trial);
  request.set_follow(follow);
  // After a lost connection the server begins anew; what has been printed is passed over.
  size_t printed = 0;
  size_t to_skip = 0;
  StreamOptions options;
  options.on_reopen = [&] { to_skip = printed; };
  const absl::Status status = ReadStream<GetLogsResponse>(
      *server,
      [&](grpc::ClientContext* context) { return server->sweeps().GetLogs(context, request); },
      [&](const GetLogsResponse& response) {
        for (const mead::v1::LogLine& line : response.lines()) {
          if (to_skip > 0) {
            --to_skip;
            continue;
          }
          PrintLogLine(session, line);
          ++printed;
        }
        session.terminal.out << std::flush;
        return true;
      },
      options);
  if (absl::IsCancelled(status)) return absl::CancelledError("interrupted; the trial goes on");
  MEAD_RETURN_IF_ERROR(status);
  if (printed == 0) session.terminal.err << "mead: " << trial << " has not logged anything yet\n";
  return kExitDone;
}

absl::StatusOr<int> Metrics(Session& session, const std::string& trial,
                            const std::vector<std::string>& names) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetMetricsRequest request;
  request.set_trial_id(trial);
  for (const std::string& name : names) request.add_names(name);
  mead::v1::GetMetricsResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetMetrics, request, &response));
  if (session.Print(response)) return kExitDone;
  // [epoch][name]; a metric has one value an epoch, of two (a trial that ran an epoch
  // again) the later one counts.
  std::map<int, std::map<std::string, double>> epochs;
  std::map<int, int64_t> steps;
  std::set<std::string> present;
  for (const mead::v1::MetricPoint& point : response.points()) {
    epochs[point.epoch()][point.name()] = point.value();
    steps[point.epoch()] = point.step();
    present.insert(point.name());
  }
  if (session.names_only()) {
    for (const std::string& name : present) session.terminal.out << name << "\n";
    return kExitDone;
  }
  if (present.empty()) {
    session.terminal.err << "mead: " << response.trial_id() << " has no "
                         << (names.empty() ? "metrics yet\n" : "such metrics yet\n");
    return kExitDone;
  }
  if (names.empty() && present.contains(kRangeLr)) {
    session.terminal.err << "mead: " << response.trial_id()
                         << " is a learning-rate range test; \"mead lr-find --trial "
                         << response.trial_id() << "\" shows its curve\n";
    return kExitDone;
  }
  std::vector<std::string> shown;
  if (names.empty()) {
    for (const char* name : kMainMetrics) {
      if (present.contains(name)) shown.emplace_back(name);
    }
  } else {
    for (const std::string& name : names) {
      if (present.contains(name)) shown.push_back(name);
    }
  }
  if (shown.empty()) shown.assign(present.begin(), present.end());
  const MetricIntervals intervals =
      IntervalsOf(*server, response.trial_id(), epochs.rbegin()->first);
  std::vector<Table::Column> columns = {{"EPOCH", Align::kRight}, {"STEP", Align::kRight}};
  for (const std::string& name : shown) {
    columns.push_back({name, Align::kRight});
    if (intervals.Knows(name)) columns.push_back({"95 % INTERVAL", Align::kRight});
  }
  Table table(columns);
  for (const auto& [epoch, values] : epochs) {
    std::vector<Cell> row = {absl::StrCat(epoch), absl::StrCat(steps[epoch])};
    for (const std::string& name : shown) {
      const auto it = values.find(name);
      row.emplace_back(it == values.end() ? "" : Number(it->second));
      if (!intervals.Knows(name)) continue;
      row.emplace_back(it == values.end() ? "" : intervals.Text(name, it->second));
    }
    table.Add(std::move(row));
  }
  table.Print(session.terminal);
  if (names.empty() && present.size() > shown.size()) {
    session.terminal.err << "mead: " << present.size() - shown.size()
                         << " more (per class and others): --name NAME, or -o json for all\n";
  }
  return kExitDone;
}

absl::StatusOr<int> Confusion(Session& session, const std::string& trial, int epoch, bool pooled,
                              const std::string& png) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetConfusionRequest request;
  request.set_trial_id(trial);
  request.set_epoch(epoch);
  request.set_pooled(pooled);
  mead::v1::GetConfusionResponse response;
  MEAD_RETURN_IF_ERROR(
      server->Call(server->sweeps(), &SweepStub::GetConfusion, request, &response));
  // One that is too old to know the question answers for the trial alone.
  if (pooled && !response.has_pooled()) {
    return absl::UnimplementedError(
        "the coordinator cannot pool folds: it is older than this client; upgrade it");
  }
  if (!png.empty()) MEAD_RETURN_IF_ERROR(WriteConfusionPng(response, png));
  if (session.Print(response)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << response.trial_id() << "\n";
    return kExitDone;
  }
  MEAD_RETURN_IF_ERROR(PrintConfusion(session.terminal, response));
  if (!png.empty()) session.terminal.err << "mead: picture in " << png << "\n";
  return kExitDone;
}

}  // namespace mead::client
