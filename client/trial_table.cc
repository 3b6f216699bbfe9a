#include "client/trial_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/configuration_table.h"
#include "client/format.h"

namespace mead::client {
namespace {

using ::mead::v1::Trial;

std::string Metric(const Trial& trial, const char* name) {
  const auto it = trial.last_metrics().find(name);
  return it == trial.last_metrics().end() ? "" : absl::StrFormat("%.4f", it->second);
}

std::string EpochText(const Trial& trial) {
  if (trial.epochs_total() == 0) return "";
  // While an epoch runs its own number says more than the count of those done.
  const int epoch = trial.has_progress() && trial.progress().epoch() > 0 ? trial.progress().epoch()
                                                                         : trial.epochs_done();
  return absl::StrCat(epoch, "/", trial.epochs_total());
}

std::string LossText(const Trial& trial) {
  if (trial.has_progress() && trial.progress().step() > 0) {
    return absl::StrFormat("%.4f", trial.progress().train_loss());
  }
  return Metric(trial, "train/loss");
}

// After the loss.
constexpr int kLiveColumn = 5;

// Of the running epoch's training so far; empty before its first step.
std::string TrainAccuracyText(const Trial& trial) {
  if (!trial.has_progress() || trial.progress().step() == 0) return "";
  if (trial.progress().train_accuracy() == 0) return "";  // also what an old worker says
  return absl::StrFormat("%.4f", trial.progress().train_accuracy());
}

std::string RateText(const Trial& trial) {
  if (trial.has_progress() && trial.progress().images_per_second() > 0) {
    return absl::StrFormat("%.1f", trial.progress().images_per_second());
  }
  const auto it = trial.last_metrics().find("train/images_per_second");
  return it == trial.last_metrics().end() ? "" : absl::StrFormat("%.1f", it->second);
}

std::string EtaText(const Trial& trial) {
  return HasEnded(trial.state()) || !trial.has_eta() ? "" : HumanDuration(FromProto(trial.eta()));
}

std::string BestText(const Trial& trial) {
  if (!trial.has_best_value()) return "";
  return absl::StrFormat("%.4f @%d", trial.best_value(), trial.best_epoch());
}

// What a reader should know beside the figures.
std::string NoteText(const Trial& trial) {
  std::string note = ParamsText(trial.params());
  if (trial.attempt() > 1) absl::StrAppend(&note, "  attempt ", trial.attempt());
  if (!trial.message().empty() && trial.state() != mead::v1::TRIAL_STATE_SUCCEEDED) {
    absl::StrAppend(&note, note.empty() ? "" : "  ", "(", trial.message(), ")");
  }
  return note;
}

int Done(const mead::v1::Sweep& sweep) {
  return sweep.trials_succeeded() + sweep.trials_failed() + sweep.trials_stopped();
}

}  // namespace

Table TrialTable(const mead::v1::Sweep& sweep, const std::vector<const Trial*>& trials) {
  const std::string metric = sweep.spec().objective().metric().empty()
                                 ? "val/accuracy"
                                 : sweep.spec().objective().metric();
  std::vector<Table::Column> columns = {{"TRIAL"},
                                        {"STATE"},
                                        {"EPOCH", Align::kRight},
                                        {"IMAGES/S", Align::kRight},
                                        {"LOSS", Align::kRight},
                                        {"ACCURACY", Align::kRight},
                                        {"ETA", Align::kRight},
                                        {absl::StrCat("BEST ", metric), Align::kRight},
                                        {"PARAMETERS"}};
  // While something trains only: it is of the epoch under way.
  const bool live = std::ranges::any_of(
      trials, [](const Trial* trial) { return !TrainAccuracyText(*trial).empty(); });
  if (live) columns.insert(columns.begin() + kLiveColumn, {"TRAIN ACC", Align::kRight});
  Table table(std::move(columns));
  for (const Trial* trial : trials) {
    const bool best = trial->id() == sweep.best_trial_id();
    std::vector<Cell> row = {Cell(trial->id(), best ? Colour::kBold : Colour::kNone),
                             StateCell(trial->state()),
                             EpochText(*trial),
                             RateText(*trial),
                             LossText(*trial),
                             Metric(*trial, "val/accuracy"),
                             EtaText(*trial),
                             Cell(absl::StrCat(BestText(*trial), best ? " *" : ""),
                                  best ? Colour::kGreen : Colour::kNone),
                             NoteText(*trial)};
    if (live) row.insert(row.begin() + kLiveColumn, TrainAccuracyText(*trial));
    table.Add(std::move(row));
  }
  return table;
}

Table TrialTable(const mead::v1::Sweep& sweep, const Trials& trials) {
  std::vector<const Trial*> pointers;
  for (const Trial& trial : trials) pointers.push_back(&trial);
  return TrialTable(sweep, pointers);
}

std::string SweepLine(const Terminal& terminal, const mead::v1::Sweep& sweep) {
  const Cell state = StateCell(sweep.state());
  std::string line = absl::StrCat("sweep ", sweep.id(), " (", sweep.spec().name(),
                                  "): ", terminal.Paint(state.colour, state.text), ", ",
                                  Done(sweep), " of ", sweep.trials_total(), " trials done");
  if (sweep.trials_running() > 0) absl::StrAppend(&line, ", ", sweep.trials_running(), " running");
  if (sweep.trials_queued() > 0) absl::StrAppend(&line, ", ", sweep.trials_queued(), " queued");
  if (sweep.trials_failed() > 0) absl::StrAppend(&line, ", ", sweep.trials_failed(), " failed");
  // After a success the message says the same in other words.
  if (!sweep.message().empty() && sweep.state() != mead::v1::SWEEP_STATE_SUCCEEDED)
    absl::StrAppend(&line, "; ", sweep.message());
  return line;
}

std::string TrialLine(const Trial& trial) {
  std::string line = absl::StrCat(trial.id(), "  ", StateCell(trial.state()).text);
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) absl::StrAppend(&line, "  ", name, " ", value);
  };
  add("epoch", EpochText(trial));
  if (trial.has_progress() && !trial.progress().phase().empty()) {
    absl::StrAppend(&line, "  ", trial.progress().phase());
    if (trial.progress().steps_per_epoch() > 0) {
      absl::StrAppend(&line, " ", trial.progress().step(), "/", trial.progress().steps_per_epoch());
    }
  }
  add("images/s", RateText(trial));
  add("loss", LossText(trial));
  add("train accuracy", TrainAccuracyText(trial));
  add("accuracy", Metric(trial, "val/accuracy"));
  add("eta", EtaText(trial));
  if (trial.attempt() > 1) add("attempt", absl::StrCat(trial.attempt()));
  if (!trial.message().empty()) absl::StrAppend(&line, "  (", trial.message(), ")");
  return line;
}

void PrintSummary(const Terminal& terminal, const mead::v1::Sweep& sweep, const Trials& trials,
                  const Configurations& configurations) {
  terminal.out << SweepLine(terminal, sweep) << "\n\n";
  if (!configurations.empty()) {
    ConfigurationTable(sweep, configurations).Print(terminal);
    terminal.out << "\n";
  }
  TrialTable(sweep, trials).Print(terminal);
  PrintComparisons(terminal, sweep, configurations, trials);
  for (const Trial& trial : trials) {
    if (trial.state() == mead::v1::TRIAL_STATE_FAILED) {
      terminal.out << "\n"
                   << terminal.Paint(Colour::kRed, absl::StrCat(trial.id(), " failed: "))
                   << trial.message() << "\n  its log: mead logs " << trial.id() << "\n";
    }
    if (trial.id() != sweep.best_trial_id() || !trial.has_best_value()) continue;
    terminal.out << "\n";
    if (sweep.has_best_configuration()) {
      terminal.out << "best configuration  " << sweep.best_configuration()
                   << absl::StrFormat("  %.4f +- %.4f\n", sweep.best_value(),
                                      sweep.best_standard_deviation());
    }
    terminal.out << (trial.fold() > 0 ? "its best fold  " : "best trial  ")
                 << terminal.Paint(Colour::kBold, trial.id()) << "  "
                 << absl::StrFormat("%.4f", trial.best_value()) << " at epoch "
                 << trial.best_epoch() << "\n";
    const auto& checkpoint =
        trial.has_best_checkpoint() ? trial.best_checkpoint() : trial.latest_checkpoint();
    if (!checkpoint.path().empty()) terminal.out << "checkpoint  " << checkpoint.path() << "\n";
    // A fold alone has judged a part of the pictures.
    terminal.out << "look at it  mead confusion " << trial.id()
                 << (trial.fold() > 0 ? " --pooled\n" : "\n");
  }
}

}  // namespace mead::client
