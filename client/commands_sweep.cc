#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands.h"
#include "client/format.h"
#include "client/submission.h"
#include "client/sweep_file.h"
#include "client/sweep_yaml.h"
#include "client/table.h"
#include "client/trial_table.h"
#include "client/watch.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using ::mead::v1::SubmitSweepResponse;
using SweepStub = ::mead::v1::SweepService::Stub;

void PrintField(Session& session, const char* name, const std::string& value) {
  if (!value.empty())
    session.terminal.out << absl::StrCat(name, ":")
                         << std::string(13 - std::string(name).size(), ' ') << value << "\n";
}

void PrintIndented(Session& session, const std::string& text) {
  for (const auto& line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    session.terminal.out << "  " << line << "\n";
  }
}

void PrintSweep(Session& session, const mead::v1::GetSweepResponse& response) {
  const mead::v1::Sweep& sweep = response.sweep();
  const Cell state = StateCell(sweep.state());
  PrintField(session, "sweep", sweep.id());
  PrintField(session, "name", sweep.spec().name());
  PrintField(session, "state", session.terminal.Paint(state.colour, state.text));
  PrintField(session, "message", sweep.message());
  PrintField(session, "data set", sweep.spec().dataset());
  PrintField(session, "created", HumanTime(sweep.create_time()));
  PrintField(session, "ended", HumanTime(sweep.end_time()));
  session.terminal.out << "specification:\n";
  PrintIndented(session, SweepYaml(sweep.spec()));
  session.terminal.out << "\n";
  PrintSummary(session.terminal, sweep, response.trials(), response.configurations());
}

std::string BestText(const mead::v1::Sweep& sweep) {
  if (sweep.best_trial_id().empty()) return "";
  if (!sweep.has_best_configuration()) return Number(sweep.best_value());
  return absl::StrCat(Number(sweep.best_value()), " +- ", Number(sweep.best_standard_deviation()));
}

std::string CheckpointText(const mead::v1::Checkpoint& checkpoint) {
  const std::string place =
      checkpoint.step() == 0
          ? absl::StrCat("epoch ", checkpoint.epoch())
          : absl::StrCat("epoch ", checkpoint.epoch() + 1, " after ", checkpoint.step(), " steps");
  return absl::StrCat(place, ", ", HumanBytes(checkpoint.size_bytes()), ", ",
                      checkpoint.path().empty() ? checkpoint.digest() : checkpoint.path());
}

void PrintTrial(Session& session, const mead::v1::GetTrialResponse& response) {
  const mead::v1::Trial& trial = response.trial();
  const Cell state = StateCell(trial.state());
  PrintField(session, "trial", trial.id());
  PrintField(session, "sweep", trial.sweep_id());
  if (trial.fold() > 0) {
    PrintField(session, "fold",
               absl::StrCat(trial.fold(), " of ", response.config().fold().folds(),
                            " of configuration ", trial.configuration()));
  }
  PrintField(session, "state", session.terminal.Paint(state.colour, state.text));
  PrintField(session, "message", trial.message());
  PrintField(session, "attempt", absl::StrCat(trial.attempt()));
  PrintField(session, "epochs", absl::StrCat(trial.epochs_done(), " of ", trial.epochs_total()));
  if (trial.has_best_value()) {
    PrintField(session, "best",
               absl::StrCat(Number(trial.best_value()), " at epoch ", trial.best_epoch()));
  }
  if (!HasEnded(trial.state()) && trial.has_eta()) {
    PrintField(session, "eta", HumanDuration(FromProto(trial.eta())));
  }
  PrintField(session, "started", HumanTime(trial.start_time()));
  PrintField(session, "ended", HumanTime(trial.end_time()));
  for (int rank = 0; rank < trial.workers_size(); ++rank) {
    PrintField(session, absl::StrCat("rank ", rank).c_str(), trial.workers(rank));
  }
  if (trial.has_best_checkpoint()) {
    PrintField(session, "best file", CheckpointText(trial.best_checkpoint()));
  }
  if (trial.has_latest_checkpoint()) {
    PrintField(session, "latest file", CheckpointText(trial.latest_checkpoint()));
  }
  PrintField(session, "parameters", ParamsText(trial.params()));
  session.terminal.out << "configuration:\n";
  PrintIndented(session, TrainYaml(response.config()));
  if (trial.last_metrics().empty()) return;
  session.terminal.out << "\nmetrics of the last epoch:\n";
  const std::map<std::string, double> sorted(trial.last_metrics().begin(),
                                             trial.last_metrics().end());
  Table table({{"METRIC"}, {"VALUE", Align::kRight}});
  for (const auto& [name, value] : sorted) table.Add({name, Number(value)});
  table.Print(session.terminal);
}

}  // namespace

absl::StatusOr<int> Submit(Session& session, const SubmitOptions& options) {
  MEAD_ASSIGN_OR_RETURN(SweepFile file, LoadSweepFile(options.file, options.sets));
  SubmitSweepResponse response;
  MEAD_ASSIGN_OR_RETURN(
      const std::optional<int> refused,
      SubmitFile(session,
                 {.dry_run = options.dry_run, .wait_for_resources = options.wait_for_resources},
                 &file, &response));
  if (refused) return *refused;
  if (options.dry_run) {
    if (session.Print(response)) return kExitDone;
    session.terminal.out << SweepYaml(response.sweep().spec());
    session.terminal.err << "mead: " << file.name << " is valid";
    if (response.sweep().trials_total() > 0) {
      session.terminal.err << ": " << response.sweep().trials_total() << " trials";
      const int folds = response.sweep().spec().search().folds();
      if (folds > 0) {
        session.terminal.err << ", " << response.sweep().trials_total() / folds
                             << " configurations with " << folds << " folds each";
      }
    }
    session.terminal.err << "; nothing was submitted (--dry-run)\n";
    return kExitDone;
  }
  const std::string& id = response.sweep().id();
  if (options.watch) {
    session.terminal.err << "mead: submitted sweep " << id << "\n";
    return WatchSweep(session, id);
  }
  if (session.Print(response)) return kExitDone;
  session.terminal.out << id << "\n";
  if (!session.names_only()) {
    session.terminal.err << "mead: submitted; \"mead watch " << id << "\" shows it live\n";
  }
  return kExitDone;
}

absl::StatusOr<int> ListSweeps(Session& session) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::ListSweepsResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::ListSweeps,
                                    mead::v1::ListSweepsRequest(), &response));
  if (session.Print(response)) return kExitDone;
  Table table({{"SWEEP"},
               {"NAME"},
               {"STATE"},
               {"TRIALS", Align::kRight},
               {"BEST", Align::kRight},
               {"BEST TRIAL"},
               {"DATA SET"},
               {"CREATED"}});
  for (const mead::v1::Sweep& sweep : response.sweeps()) {
    if (session.names_only()) {
      session.terminal.out << sweep.id() << "\n";
      continue;
    }
    const int done = sweep.trials_succeeded() + sweep.trials_failed() + sweep.trials_stopped();
    table.Add({sweep.id(), sweep.spec().name(), StateCell(sweep.state()),
               absl::StrCat(done, "/", sweep.trials_total()), BestText(sweep),
               sweep.best_trial_id(), sweep.spec().dataset(), HumanTime(sweep.create_time())});
  }
  if (session.names_only()) return kExitDone;
  if (table.rows() == 0) {
    session.terminal.err << "mead: no sweeps yet; \"mead submit SWEEP.yaml\" makes one\n";
  } else {
    table.Print(session.terminal);
  }
  return kExitDone;
}

absl::StatusOr<int> Describe(Session& session, const std::string& id) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetSweepRequest sweep_request;
  sweep_request.set_sweep_id(id);
  mead::v1::GetSweepResponse sweep;
  const absl::Status status =
      server->Call(server->sweeps(), &SweepStub::GetSweep, sweep_request, &sweep);
  if (status.ok()) {
    if (session.Print(sweep)) return kExitDone;
    if (session.names_only()) {
      session.terminal.out << sweep.sweep().id() << "\n";
    } else {
      PrintSweep(session, sweep);
    }
    return kExitDone;
  }
  if (!absl::IsNotFound(status)) return status;
  mead::v1::GetTrialRequest trial_request;
  trial_request.set_trial_id(id);
  mead::v1::GetTrialResponse trial;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetTrial, trial_request, &trial));
  if (session.Print(trial)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << trial.trial().id() << "\n";
  } else {
    PrintTrial(session, trial);
  }
  return kExitDone;
}

absl::StatusOr<int> Stop(Session& session, const std::string& id) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::StopSweepRequest sweep_request;
  sweep_request.set_sweep_id(id);
  mead::v1::StopSweepResponse sweep;
  const absl::Status status =
      server->Call(server->sweeps(), &SweepStub::StopSweep, sweep_request, &sweep);
  if (status.ok()) {
    if (session.Print(sweep)) return kExitDone;
    session.terminal.out << (session.names_only() ? sweep.sweep().id()
                                                  : SweepLine(session.terminal, sweep.sweep()))
                         << "\n";
    return kExitDone;
  }
  if (!absl::IsNotFound(status)) return status;
  mead::v1::StopTrialRequest trial_request;
  trial_request.set_trial_id(id);
  mead::v1::StopTrialResponse trial;
  MEAD_RETURN_IF_ERROR(
      server->Call(server->sweeps(), &SweepStub::StopTrial, trial_request, &trial));
  if (session.Print(trial)) return kExitDone;
  session.terminal.out << (session.names_only() ? trial.trial().id() : TrialLine(trial.trial()))
                       << "\n";
  return kExitDone;
}

}  // namespace mead::client
