#include "client/watch.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/configuration_table.h"
#include "client/format.h"
#include "client/sweep_stream.h"
#include "client/trial_table.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using ::mead::v1::Trial;
using ::mead::v1::WatchSweepResponse;

// In a pipe, a running trial that only advances is worth a line this often.
constexpr absl::Duration kQuietTime = absl::Seconds(10);
// A terminal shows this many trials; those that run come first.
constexpr size_t kMaxRows = 25;

class LiveView {
 public:
  explicit LiveView(Session& session) : session_(session), terminal_(session.terminal) {}

  void Show(const WatchSweepResponse& update) {
    if (session_.format == OutputFormat::kJson) {
      terminal_.out << ToJson(update, false) << std::flush;
    } else if (session_.format == OutputFormat::kYaml) {
      terminal_.out << "---\n" << ToYaml(update) << std::flush;
    } else if (session_.format == OutputFormat::kTable) {
      terminal_.out_is_tty ? Redraw(update) : PrintChanges(update);
    }
  }

  // Takes the live table away, so that what follows stands in its place.
  void Erase() {
    if (drawn_lines_ > 0) terminal_.out << "\033[" << drawn_lines_ << "A\033[J";
    drawn_lines_ = 0;
  }

 private:
  void Redraw(const WatchSweepResponse& update) {
    const int width = terminal_.Width();
    std::vector<const Trial*> trials;
    for (const Trial& trial : update.trials()) trials.push_back(&trial);
    if (trials.size() > kMaxRows) {
      const auto rank = [](const Trial* trial) {
        return HasEnded(trial->state())                         ? 2
               : trial->state() == mead::v1::TRIAL_STATE_QUEUED ? 1
                                                                : 0;
      };
      std::stable_sort(trials.begin(), trials.end(),
                       [&](const Trial* a, const Trial* b) { return rank(a) < rank(b); });
      trials.resize(kMaxRows);
    }
    std::vector<std::string> lines = TrialTable(update.sweep(), trials).Lines(terminal_, width);
    if (!update.configurations().empty()) {
      std::vector<std::string> above =
          ConfigurationTable(update.sweep(), update.configurations()).Lines(terminal_, width);
      // The first line is the title's.
      if (above.size() > kMaxRows + 1) above.erase(above.begin() + 1, above.end() - kMaxRows);
      above.emplace_back();
      lines.insert(lines.begin(), above.begin(), above.end());
    }
    const size_t hidden = static_cast<size_t>(update.trials_size()) - trials.size();
    if (hidden > 0) lines.push_back(absl::StrCat("... and ", hidden, " more trials"));
    Erase();
    // Without colours, so that cutting it counts only what is seen; a line that wrapped would
    // break the redraw.
    Terminal plain = terminal_;
    plain.colours = false;
    terminal_.out << CutToWidth(SweepLine(plain, update.sweep()), static_cast<size_t>(width))
                  << "\n";
    for (const std::string& line : lines) terminal_.out << line << "\n";
    terminal_.out << std::flush;
    drawn_lines_ = static_cast<int>(lines.size()) + 1;
  }

  void PrintChanges(const WatchSweepResponse& update) {
    const std::string sweep_line = SweepLine(terminal_, update.sweep());
    if (sweep_line != sweep_line_) terminal_.out << sweep_line << "\n";
    sweep_line_ = sweep_line;
    const absl::Time now = absl::Now();
    for (const Trial& trial : update.trials()) {
      const std::string key = absl::StrCat(trial.state(), " ", trial.attempt(), " ",
                                           trial.epochs_done(), " ", trial.message());
      Printed& printed = printed_[trial.id()];
      const bool advanced = trial.has_progress() && now - printed.at > kQuietTime;
      if (key == printed.key && !advanced) continue;
      // Trials that wait for their turn are in the sweep's line.
      if (trial.state() != mead::v1::TRIAL_STATE_QUEUED || !printed.key.empty()) {
        terminal_.out << TrialLine(trial) << "\n";
      }
      printed = {key, now};
    }
    for (const mead::v1::Configuration& one : update.configurations()) {
      if (!HasEnded(one.state()) || !ended_.insert(one.index()).second) continue;
      terminal_.out << ConfigurationLine(update.sweep(), one) << "\n";
    }
    terminal_.out << std::flush;
  }

  struct Printed {
    std::string key;
    absl::Time at = absl::InfinitePast();
  };

  Session& session_;
  Terminal& terminal_;
  int drawn_lines_ = 0;
  std::string sweep_line_;
  std::map<std::string, Printed> printed_;
  std::set<int> ended_;  // configurations
};

}  // namespace

absl::StatusOr<int> WatchSweep(Session& session, const std::string& sweep_id) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  LiveView view(session);
  MEAD_ASSIGN_OR_RETURN(
      const WatchSweepResponse last,
      FollowSweep(session, *server, sweep_id,
                  {.on_update = [&](const WatchSweepResponse& update) { view.Show(update); },
                   .clear = [&] { view.Erase(); }}));
  if (session.format == OutputFormat::kTable) {
    view.Erase();
    if (!session.terminal.out_is_tty) session.terminal.out << "\n";
    PrintSummary(session.terminal, last.sweep(), last.trials(), last.configurations());
    if (!session.http().empty()) {
      session.terminal.out << "status page http://" << session.http() << "/\n";
    }
  } else if (session.names_only()) {
    session.terminal.out << last.sweep().id() << "\n";
  }
  return last.sweep().state() == mead::v1::SWEEP_STATE_SUCCEEDED ? kExitDone : kExitFailed;
}

}  // namespace mead::client
