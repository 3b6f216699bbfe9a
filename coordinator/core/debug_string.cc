#include "coordinator/core/debug_string.h"

#include <ios>
#include <iterator>
#include <sstream>

#include "coordinator/core/transitions.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

// "name{key=value key=value}", fields in the order in which they are written.
class Writer {
 public:
  explicit Writer(const char* name) { out_ << std::hexfloat << std::boolalpha << name << "{"; }

  template <class T>
  Writer& operator()(const char* key, const T& value) {
    out_ << separator_ << key << "=";
    separator_ = " ";
    Put(value);
    return *this;
  }

  // What most do not have is written only where it is.
  template <class T>
  Writer& IfSet(const char* key, const T& value) {
    return value == T{} ? *this : (*this)(key, value);
  }

  std::string End() {
    out_ << "}";
    return out_.str();
  }

 private:
  void Put(const std::string& text) {
    out_ << '"';
    for (char c : text) {
      if (c == '"' || c == '\\') out_ << '\\';
      if (c == '\n') {
        out_ << "\\n";
      } else {
        out_ << c;
      }
    }
    out_ << '"';
  }
  void Put(const char* word) { out_ << word; }
  void Put(double value) { out_ << value; }
  void Put(bool value) { out_ << value; }
  void Put(int value) { out_ << value; }
  void Put(int64_t value) { out_ << value; }
  void Put(uint64_t value) { out_ << value; }
  void Put(const TrialRef& ref) { out_ << ref.trial_id << "/" << ref.attempt; }
  void Put(const WorkerRef& ref) { out_ << ref.worker_id << "#" << ref.incarnation; }
  void Put(const ParamValue& value) {
    std::visit([this](const auto& v) { Put(v); }, value);
  }
  void Put(const Param& param) {
    out_ << param.path << ":";
    Put(param.value);
  }
  void Put(const UniformRange& r) { PutAll("uniform", r.low, r.high, r.step); }
  void Put(const LogUniformRange& r) { PutAll("log_uniform", r.low, r.high); }
  void Put(const IntRange& r) { PutAll("int", r.low, r.high, r.step); }
  void Put(const Choice& choice) {
    out_ << "choice";
    Put(choice.values);
  }
  void Put(const Dimension& dimension) {
    out_ << dimension.path << ":";
    std::visit([this](const auto& range) { Put(range); }, dimension.range);
  }
  void Put(const Checkpoint& c) {
    out_ << c.epoch << ":" << c.digest << ":" << c.size_bytes;
    if (c.step > 0) out_ << ":step " << c.step;
  }
  void Put(const Predictions& p) { out_ << p.epoch << ":" << p.digest << ":" << p.size_bytes; }
  void Put(const Slot& slot) {
    out_ << Name(slot.state);
    if (slot.trial == TrialRef{}) return;
    out_ << ":";
    Put(slot.trial);
    out_ << ":" << slot.rank;
  }
  void Put(const GangMember& m) {
    Put(m.worker);
    out_ << ":" << m.slot << (m.ready ? ":ready" : "") << (m.exited ? ":exited" : "")
         << (m.succeeded ? ":succeeded" : "");
  }
  void Put(const HeldMember& held) {
    Put(held.trial);
    out_ << ":" << held.rank << ":" << held.slot << (held.ended ? ":ended" : "");
  }
  template <class T>
  void Put(const std::vector<T>& values) {
    PutRange(values);
  }
  void Put(const std::set<int>& values) { PutRange(values); }
  void Put(const std::map<int, double>& values) { PutRange(values); }
  void Put(const std::pair<const int, double>& entry) {
    out_ << entry.first << ":" << entry.second;
  }
  void Put(const std::pair<const std::string, std::string>& entry) {
    Put(entry.first);
    out_ << ":";
    Put(entry.second);
  }
  void Put(const std::map<std::string, std::string>& values) { PutRange(values); }

  template <class Range>
  void PutRange(const Range& values) {
    out_ << "[";
    const char* comma = "";
    for (const auto& value : values) {
      out_ << comma;
      comma = ", ";
      Put(value);
    }
    out_ << "]";
  }
  template <class... Ts>
  void PutAll(const char* name, const Ts&... values) {
    out_ << name;
    ((out_ << ":", Put(values)), ...);
  }

  std::ostringstream out_;
  const char* separator_ = "";
};

std::string Text(const Config& c) {
  return Writer("Config")("start_timeout", c.start_timeout)("first_backoff", c.first_backoff)(
             "max_backoff", c.max_backoff)
      .End();
}

std::string Text(const SweepSpec& s) {
  return Writer("SweepSpec")("name", s.name)("dataset", s.dataset)("metric", s.objective_metric)(
             "goal", s.goal == Goal::kMaximize ? "maximize" : "minimize")(
             "method", s.method == SearchMethod::kGrid ? "grid" : "random")("trials", s.trials)(
             "parallel", s.parallel)("seed", s.search_seed)("ranks", s.ranks)(
             "accelerator", Name(s.accelerator))("retry_user_error", s.retry.user_error)(
             "retry_out_of_memory", s.retry.out_of_memory)(
             "retry_infrastructure", s.retry.infrastructure)("epochs", s.epochs)(
             "keep_best", s.keep_best)("keep_latest", s.keep_latest)
      .IfSet("fold_train_samples", s.fold_train_samples)("space", s.space)("encoded", s.encoded)
      .End();
}

std::string Text(const Configured& e) { return "Configured{" + Text(e.config) + "}"; }
std::string Text(const DatasetCreated& e) {
  return Writer("DatasetCreated")("name", e.name)("manifest", e.manifest_digest)(
             "train_samples", e.train_samples)("encoded", e.encoded)
      .End();
}
std::string Text(const DatasetDeleted& e) { return Writer("DatasetDeleted")("name", e.name).End(); }
std::string Text(const SweepSubmitted& e) {
  return Writer("SweepSubmitted")("sweep", e.sweep_id)("request", e.request_id).End() + " " +
         Text(e.spec);
}
std::string Text(const SweepStopRequested& e) {
  return Writer("SweepStopRequested")("sweep", e.sweep_id).End();
}
std::string Text(const TrialStopRequested& e) {
  return Writer("TrialStopRequested")("trial", e.trial_id).End();
}
std::string Text(const WorkerRegistered& e) {
  return Writer("WorkerRegistered")("worker", e.worker_id)("instance", e.instance_id)(
             "address", e.address)("version", e.version)("accelerator", Name(e.accelerator))(
             "device", e.device)("slots", e.slots)("held", e.held)
      .End();
}
std::string Text(const WorkerLost& e) {
  return Writer("WorkerLost")("worker", e.worker)("reason", e.reason).End();
}
std::string Text(const WorkerDraining& e) {
  return Writer("WorkerDraining")("worker", e.worker).End();
}
std::string Text(const MemberReady& e) {
  return Writer("MemberReady")("worker", e.worker)("trial", e.trial)("rank", e.rank)("rendezvous",
                                                                                     e.rendezvous)
      .End();
}
std::string Text(const EpochReported& e) {
  return Writer("EpochReported")("worker", e.worker)("trial", e.trial)("epoch", e.epoch)(
             "objective", e.objective)
      .End();
}
std::string Text(const CheckpointSaved& e) {
  return Writer("CheckpointSaved")("worker", e.worker)("trial", e.trial)("epoch", e.epoch)(
             "digest", e.digest)("size_bytes", e.size_bytes)
      .IfSet("step", e.step)
      .End();
}
std::string Text(const PredictionsSaved& e) {
  return Writer("PredictionsSaved")("worker", e.worker)("trial", e.trial)("epoch", e.epoch)(
             "digest", e.digest)("size_bytes", e.size_bytes)
      .End();
}
std::string Text(const MemberExited& e) {
  return Writer("MemberExited")("worker", e.worker)("trial", e.trial)("rank", e.rank)(
             "succeeded", e.succeeded)("kind", Name(e.kind))("message", e.message)
      .IfSet("checkpoint_damaged", e.checkpoint_damaged)
      .IfSet("yielded", e.yielded)
      .End();
}
std::string Text(const CheckpointsDropped& e) {
  return Writer("CheckpointsDropped")("digests", e.digests).End();
}
std::string Text(const Tick&) { return "Tick{}"; }

std::string Text(const AssignMember& c) {
  return Writer("AssignMember")("worker", c.worker)("trial", c.trial)("rank", c.rank)(
             "world_size", c.world_size)("slot", c.slot)("resume", c.resume_digest)("resume_epoch",
                                                                                    c.resume_epoch)
      .IfSet("resume_step", c.resume_step)
      .End();
}
std::string Text(const StartMember& c) {
  return Writer("StartMember")("worker", c.worker)("trial", c.trial)("rank", c.rank)("rendezvous",
                                                                                     c.rendezvous)
      .End();
}
std::string Text(const AbortMember& c) {
  return Writer("AbortMember")("worker", c.worker)("trial", c.trial)("rank", c.rank)("reason",
                                                                                     c.reason)
      .End();
}
std::string Text(const FenceWorker& c) {
  return Writer("FenceWorker")("worker", c.worker)("reason", c.reason).End();
}

std::string Text(const Dataset& d) {
  return Writer("Dataset")("name", d.name)("manifest", d.manifest_digest)(
             "train_samples", d.train_samples)("encoded", d.encoded)
      .End();
}
std::string Text(const Worker& w) {
  return Writer("Worker")("id", w.id)("instance", w.instance_id)("incarnation", w.incarnation)(
             "address", w.address)("version", w.version)("accelerator", Name(w.accelerator))(
             "device", w.device)("lost", w.lost)("lost_time", w.lost_time)("slots", w.slots)
      .IfSet("draining", w.draining)
      .End();
}
std::string Text(const Sweep& s) {
  return Writer("Sweep")("id", s.id)("request", s.request_id)("state", Name(s.state))(
             "total_trials", s.total_trials)("trials", s.trial_ids)("live", s.live_trials)(
             "create_time", s.create_time)("end_time", s.end_time)("best", s.best_trial_id)(
             "message", s.message)
             .End() +
         " " + Text(s.spec);
}
std::string Text(const Trial& t) {
  return Writer("Trial")("id", t.id)("sweep", t.sweep_id)("index", t.index)("state", Name(t.state))(
             "params", t.params)("attempt", t.attempt)("gang", t.gang)("rendezvous", t.rendezvous)(
             "start_deadline", t.start_deadline)("not_before", t.not_before)(
             "epochs_done", t.epochs_done)("objectives", t.objectives)("has_best", t.has_best)(
             "best_value", t.best_value)("best_epoch", t.best_epoch)("latest", t.latest)(
             "best", t.best)("user_error_retries", t.user_error_retries)(
             "out_of_memory_retries", t.out_of_memory_retries)("infrastructure_retries",
                                                               t.infrastructure_retries)(
             "failures_in_a_row", t.failures_in_a_row)("stop_requested", t.stop_requested)(
             "failure", Name(t.failure))("failure_message", t.failure_message)(
             "message", t.message)("start_time", t.start_time)("end_time", t.end_time)(
             "latest_predictions", t.latest_predictions)("best_predictions", t.best_predictions)
      .IfSet("older", t.older)
      .IfSet("latest_damaged", t.latest_damaged)
      .IfSet("yield_deadline", t.yield_deadline)
      .IfSet("preemptions", t.preemptions)
      .End();
}

}  // namespace

std::string DebugString(const Event& event) {
  return std::to_string(event.at) + " " +
         std::visit([](const auto& body) { return Text(body); }, event.body);
}

std::string DebugString(const Command& command) {
  return std::visit([](const auto& body) { return Text(body); }, command);
}

std::string DebugString(const ClusterState& state) {
  std::string text = Text(state.config) + "\n";
  text += Writer("Cluster")("next_incarnation", state.next_incarnation)(
              "last_event_time", state.last_event_time)("next_deadline", state.next_deadline)(
              "sweep_order", state.sweep_order)("requests", state.requests)
              .End() +
          "\n";
  for (const auto& [name, dataset] : state.datasets) text += Text(dataset) + "\n";
  for (const auto& [id, worker] : state.workers) text += Text(worker) + "\n";
  for (const auto& [id, sweep] : state.sweeps) text += Text(sweep) + "\n";
  for (const auto& [id, trial] : state.trials) text += Text(trial) + "\n";
  return text;
}

}  // namespace mead::core
