#include "coordinator/service/convert.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace mead::service {

core::ParamValue ToCore(const v1::ParamValue& value) {
  switch (value.kind_case()) {
    case v1::ParamValue::kInteger:
      return value.integer();
    case v1::ParamValue::kText:
      return value.text();
    case v1::ParamValue::kFlag:
      return value.flag();
    default:
      return value.number();
  }
}

v1::ParamValue ToProto(const core::ParamValue& value) {
  v1::ParamValue proto;
  if (const auto* number = std::get_if<double>(&value)) {
    proto.set_number(*number);
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    proto.set_integer(*integer);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    proto.set_text(*text);
  } else {
    proto.set_flag(std::get<bool>(value));
  }
  return proto;
}

namespace {

core::Dimension ToCore(const v1::Dimension& dimension) {
  core::Dimension result;
  result.path = dimension.path();
  switch (dimension.range_case()) {
    case v1::Dimension::kUniform:
      result.range = core::UniformRange{dimension.uniform().low(), dimension.uniform().high(),
                                        dimension.uniform().step()};
      break;
    case v1::Dimension::kLogUniform:
      result.range =
          core::LogUniformRange{dimension.log_uniform().low(), dimension.log_uniform().high()};
      break;
    case v1::Dimension::kInt:
      result.range =
          core::IntRange{dimension.int_().low(), dimension.int_().high(), dimension.int_().step()};
      break;
    default: {
      core::Choice choice;
      for (const v1::ParamValue& value : dimension.choice().values()) {
        choice.values.push_back(service::ToCore(value));
      }
      result.range = std::move(choice);
    }
  }
  return result;
}

}  // namespace

core::SweepSpec ToCore(const v1::SweepSpec& spec) {
  core::SweepSpec result;
  result.name = spec.name();
  result.dataset = spec.dataset();
  result.objective_metric = spec.objective().metric();
  result.goal =
      spec.objective().goal() == "minimize" ? core::Goal::kMinimize : core::Goal::kMaximize;
  result.method =
      spec.search().method() == "grid" ? core::SearchMethod::kGrid : core::SearchMethod::kRandom;
  result.trials = spec.search().trials();
  result.parallel = spec.search().parallel();
  result.search_seed = spec.search().seed();
  result.ranks = spec.resources().ranks();
  result.accelerator = AcceleratorOf(spec.resources().accelerator());
  result.retry = {.user_error = spec.retry().user_error(),
                  .out_of_memory = spec.retry().out_of_memory(),
                  .infrastructure = spec.retry().infrastructure()};
  // A range test's steps count as one epoch's.
  result.epochs = spec.train().has_lr_range() ? 1 : spec.train().epochs();
  result.keep_best = std::max(1, spec.train().checkpoint().keep_best());
  result.keep_latest = std::max(1, spec.train().checkpoint().keep_latest());
  for (const v1::FoldPictures& fold : spec.fold_pictures()) {
    result.fold_train_samples.push_back(
        std::accumulate(fold.train().begin(), fold.train().end(), uint64_t{0}));
  }
  for (const v1::Dimension& dimension : spec.space()) result.space.push_back(ToCore(dimension));
  result.encoded = spec.SerializeAsString();
  return result;
}

core::TrialRef ToCore(const v1::TrialRef& trial) { return {trial.trial_id(), trial.attempt()}; }

v1::TrialRef ToProto(const core::TrialRef& trial) {
  v1::TrialRef proto;
  proto.set_trial_id(trial.trial_id);
  proto.set_attempt(trial.attempt);
  return proto;
}

core::FailureKind ToCore(v1::FailureKind kind) {
  switch (kind) {
    case v1::FAILURE_KIND_USER_ERROR:
      return core::FailureKind::kUserError;
    case v1::FAILURE_KIND_OUT_OF_MEMORY:
      return core::FailureKind::kOutOfMemory;
    case v1::FAILURE_KIND_PREEMPTED:
      return core::FailureKind::kPreempted;
    default:
      return core::FailureKind::kInfrastructure;
  }
}

v1::FailureKind ToProto(core::FailureKind kind) {
  switch (kind) {
    case core::FailureKind::kNone:
      return v1::FAILURE_KIND_UNSPECIFIED;
    case core::FailureKind::kUserError:
      return v1::FAILURE_KIND_USER_ERROR;
    case core::FailureKind::kOutOfMemory:
      return v1::FAILURE_KIND_OUT_OF_MEMORY;
    case core::FailureKind::kInfrastructure:
      return v1::FAILURE_KIND_INFRASTRUCTURE;
    case core::FailureKind::kPreempted:
      return v1::FAILURE_KIND_PREEMPTED;
  }
  return v1::FAILURE_KIND_UNSPECIFIED;
}

v1::TrialState ToProto(core::TrialState state) {
  switch (state) {
    case core::TrialState::kQueued:
      return v1::TRIAL_STATE_QUEUED;
    case core::TrialState::kStarting:
      return v1::TRIAL_STATE_STARTING;
    case core::TrialState::kRunning:
      return v1::TRIAL_STATE_RUNNING;
    case core::TrialState::kStopping:
      return v1::TRIAL_STATE_STOPPING;
    case core::TrialState::kSucceeded:
      return v1::TRIAL_STATE_SUCCEEDED;
    case core::TrialState::kFailed:
      return v1::TRIAL_STATE_FAILED;
    case core::TrialState::kStopped:
      return v1::TRIAL_STATE_STOPPED;
  }
  return v1::TRIAL_STATE_UNSPECIFIED;
}

v1::SweepState ToProto(core::SweepState state) {
  switch (state) {
    case core::SweepState::kRunning:
      return v1::SWEEP_STATE_RUNNING;
    case core::SweepState::kStopping:
      return v1::SWEEP_STATE_STOPPING;
    case core::SweepState::kSucceeded:
      return v1::SWEEP_STATE_SUCCEEDED;
    case core::SweepState::kFailed:
      return v1::SWEEP_STATE_FAILED;
    case core::SweepState::kStopped:
      return v1::SWEEP_STATE_STOPPED;
  }
  return v1::SWEEP_STATE_UNSPECIFIED;
}

v1::SlotState ToProto(core::SlotState state) {
  switch (state) {
    case core::SlotState::kIdle:
      return v1::SLOT_STATE_IDLE;
    case core::SlotState::kReserved:
      return v1::SLOT_STATE_RESERVED;
    case core::SlotState::kBusy:
      return v1::SLOT_STATE_BUSY;
    case core::SlotState::kDraining:
      return v1::SLOT_STATE_DRAINING;
    case core::SlotState::kLost:
      return v1::SLOT_STATE_LOST;
  }
  return v1::SLOT_STATE_UNSPECIFIED;
}

const char* Word(core::Accelerator accelerator) {
  switch (accelerator) {
    case core::Accelerator::kCpu:
      return "cpu";
    case core::Accelerator::kGpu:
      return "gpu";
    case core::Accelerator::kAny:
      break;
  }
  return "any";
}

core::Accelerator AcceleratorOf(std::string_view word) {
  if (word == "cpu") return core::Accelerator::kCpu;
  if (word == "gpu") return core::Accelerator::kGpu;
  return core::Accelerator::kAny;
}

google::protobuf::Timestamp ToTimestamp(core::TimeMicros micros) {
  google::protobuf::Timestamp time;
  time.set_seconds(micros / 1'000'000);
  time.set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  return time;
}

core::TimeMicros ToMicros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  proto.set_seconds(nanos / 1'000'000'000);
  proto.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return proto;
}

}  // namespace mead::service
