#include "coordinator/web/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/version.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/views.h"

namespace mead::web {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void Begin(const char* name, const char* help, MetricType type = MetricType::Gauge) {
    families_.push_back({name, help, type, {}});
  }

  // To the family that was begun last.
  void Add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }

  std::string Text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  std::vector<MetricFamily> families_;
};

// "SLOT_STATE_IDLE" -> "idle".
template <class Descriptor>
std::string StateLabel(const Descriptor* enumeration, int value, size_t prefix_length) {
  return absl::AsciiStrToLower(
      enumeration->FindValueByNumber(value)->name().substr(prefix_length));
}

// Every state has a series, at 0 too: an alert on a state that is not there
// would never resolve.
template <class Descriptor>
void AddStates(Families& out, const Descriptor* enumeration, const char* prefix,
               const std::map<int, int>& counts) {
  const size_t prefix_length = std::string(prefix).size();
  for (int i = 0; i < enumeration->value_count(); ++i) {
    const int value = enumeration->value(i)->number();
    if (value == 0) continue;
    const auto count = counts.find(value);
    out.Add(count == counts.end() ? 0 : count->second,
            {{"state", StateLabel(enumeration, value, prefix_length)}});
  }
}

void AddCluster(Families& out, service::ServiceContext& context,
                const core::ClusterState& state) {
  std::map<int, int> slots, sweeps, trials;
  int connected = 0, disconnected = 0, lost = 0;
  for (const auto& [id, worker] : state.workers) {
    for (const core::Slot& slot : worker.slots) ++slots[service::ToProto(slot.state)];
    if (worker.lost) {
      ++lost;
    } else if (context.sessions.IsConnected({worker.id, worker.incarnation})) {
      ++connected;
    } else {
      ++disconnected;
    }
  }
  for (const auto& [id, sweep] : state.sweeps) ++sweeps[service::ToProto(sweep.state)];
  for (const auto& [id, trial] : state.trials) ++trials[service::ToProto(trial.state)];

  out.Begin("mead_workers", "Workers by the state of their connection");
  out.Add(connected, {{"state", "connected"}});
  out.Add(disconnected, {{"state", "disconnected"}});
  out.Add(lost, {{"state", "lost"}});
  out.Begin("mead_slots", "Slots by state");
  AddStates(out, v1::SlotState_descriptor(), "SLOT_STATE_", slots);
  out.Begin("mead_sweeps", "Sweeps by state");
  AddStates(out, v1::SweepState_descriptor(), "SWEEP_STATE_", sweeps);
  out.Begin("mead_trials", "Trials by state");
  AddStates(out, v1::TrialState_descriptor(), "TRIAL_STATE_", trials);
  out.Begin("mead_datasets", "Data sets");
  out.Add(static_cast<double>(state.datasets.size()));
}

void AddTrials(Families& out, service::ServiceContext& context, const core::ClusterState& state) {
  std::vector<v1::Trial> running;
  for (const auto& [id, trial] : state.trials) {
    if (trial.state == core::TrialState::kStarting || trial.state == core::TrialState::kRunning) {
      running.push_back(service::TrialView(context, state, trial));
    }
  }
  const auto add = [&](const char* name, const char* help, auto value) {
    out.Begin(name, help);
    for (const v1::Trial& trial : running) {
      if (const std::optional<double> figure = value(trial)) {
        out.Add(*figure, {{"sweep", trial.sweep_id()}, {"trial", trial.id()}});
      }
    }
  };
  add("mead_trial_progress_ratio", "Share of a running trial's epochs that is done",
      [](const v1::Trial& trial) { return std::optional<double>(trial.percent_done() / 100); });
  add("mead_trial_images_per_second", "Training rate of a running trial's gang",
      [](const v1::Trial& trial) -> std::optional<double> {
        if (!trial.has_progress()) return std::nullopt;
        return trial.progress().images_per_second();
      });
  add("mead_trial_train_loss", "Training loss of a running trial, latest step",
      [](const v1::Trial& trial) -> std::optional<double> {
        if (!trial.has_progress()) return std::nullopt;
        return trial.progress().train_loss();
      });
  add("mead_trial_train_accuracy_ratio", "Training accuracy of a running trial's epoch so far",
      [](const v1::Trial& trial) -> std::optional<double> {
        if (!trial.has_progress()) return std::nullopt;
        return trial.progress().train_accuracy();
      });
  add("mead_trial_best_objective", "Best value of the objective that a running trial has reported",
      [](const v1::Trial& trial) -> std::optional<double> {
        if (!trial.has_best_value()) return std::nullopt;
        return trial.best_value();
      });
}

}  // namespace

std::string MetricsText(service::ServiceContext& context) {
  const auto state = context.engine.snapshot();
  Families out;
  out.Begin("mead_build_info", "1, labelled with the coordinator's version");
  out.Add(1, {{"version", kVersion}});
  out.Begin("mead_start_time_seconds", "When the coordinator started, since the Unix epoch");
  out.Add(static_cast<double>(context.start_time) / 1e6);
  AddCluster(out, context, *state);
  out.Begin("mead_journal_events_total", "Events in the journal", MetricType::Counter);
  out.Add(static_cast<double>(context.engine.journal_events()));
  out.Begin("mead_reports_total", "Reports taken in from workers since the start",
            MetricType::Counter);
  out.Add(static_cast<double>(context.reports.load()));
  out.Begin("mead_disk_free_bytes", "Bytes free on the coordinator's disk");
  out.Add(static_cast<double>(context.disk.FreeBytes()));
  out.Begin("mead_disk_nearly_full", "1 while new work is refused for want of disk space");
  out.Add(context.disk.Admit().ok() ? 0 : 1);
  AddTrials(out, context, *state);
  return out.Text();
}

}  // namespace mead::web
