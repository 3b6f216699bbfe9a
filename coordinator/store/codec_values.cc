#include "coordinator/store/codec_values.h"

#include <algorithm>

#include "common/status_util.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace mead::store::codec {
namespace {

const EnumTable<core::SearchMethod, v1::JournalSearchMethod> kSearchMethods = {
    "search method",
    {{core::SearchMethod::kGrid, v1::JOURNAL_SEARCH_METHOD_GRID},
     {core::SearchMethod::kRandom, v1::JOURNAL_SEARCH_METHOD_RANDOM}},
    2};
const EnumTable<core::Goal, v1::JournalGoal> kGoals = {
    "goal",
    {{core::Goal::kMaximize, v1::JOURNAL_GOAL_MAXIMIZE},
     {core::Goal::kMinimize, v1::JOURNAL_GOAL_MINIMIZE}},
    2};

void EncodeValue(const core::ParamValue& value, v1::ParamValue& out) {
  struct {
    v1::ParamValue& out;
    void operator()(double v) const { out.set_number(v); }
    void operator()(int64_t v) const { out.set_integer(v); }
    void operator()(const std::string& v) const { out.set_text(v); }
    void operator()(bool v) const { out.set_flag(v); }
  } visitor{out};
  std::visit(visitor, value);
}

absl::Status DecodeValue(const v1::ParamValue& in, core::ParamValue& out) {
  switch (in.kind_case()) {
    case v1::ParamValue::kNumber:
      out = in.number();
      return absl::OkStatus();
    case v1::ParamValue::kInteger:
      out = static_cast<int64_t>(in.integer());
      return absl::OkStatus();
    case v1::ParamValue::kText:
      out = in.text();
      return absl::OkStatus();
    case v1::ParamValue::kFlag:
      out = in.flag();
      return absl::OkStatus();
    case v1::ParamValue::KIND_NOT_SET:
      break;
  }
  return UnknownValue("kind of parameter", in.kind_case());
}

void EncodeDimension(const core::Dimension& value, v1::Dimension& out) {
  const auto& [path, range] = value;
  out.set_path(path);
  struct {
    v1::Dimension& out;
    void operator()(const core::UniformRange& v) const {
      const auto& [low, high, step] = v;
      out.mutable_uniform()->set_low(low);
      out.mutable_uniform()->set_high(high);
      out.mutable_uniform()->set_step(step);
    }
    void operator()(const core::LogUniformRange& v) const {
      const auto& [low, high] = v;
      out.mutable_log_uniform()->set_low(low);
      out.mutable_log_uniform()->set_high(high);
    }
    void operator()(const core::IntRange& v) const {
      const auto& [low, high, step] = v;
      out.mutable_int_()->set_low(low);
      out.mutable_int_()->set_high(high);
      out.mutable_int_()->set_step(step);
    }
    void operator()(const core::Choice& v) const {
      out.mutable_choice();  // present even without values
      for (const core::ParamValue& one : v.values) {
        EncodeValue(one, *out.mutable_choice()->add_values());
      }
    }
  } visitor{out};
  std::visit(visitor, range);
}

absl::Status DecodeDimension(const v1::Dimension& in, core::Dimension& out) {
  out.path = in.path();
  switch (in.range_case()) {
    case v1::Dimension::kUniform:
      out.range = core::UniformRange{in.uniform().low(), in.uniform().high(), in.uniform().step()};
      return absl::OkStatus();
    case v1::Dimension::kLogUniform:
      out.range = core::LogUniformRange{in.log_uniform().low(), in.log_uniform().high()};
      return absl::OkStatus();
    case v1::Dimension::kInt:
      out.range = core::IntRange{in.int_().low(), in.int_().high(), in.int_().step()};
      return absl::OkStatus();
    case v1::Dimension::kChoice: {
      core::Choice choice;
      for (const v1::ParamValue& one : in.choice().values()) {
        MEAD_RETURN_IF_ERROR(DecodeValue(one, choice.values.emplace_back()));
      }
      out.range = std::move(choice);
      return absl::OkStatus();
    }
    case v1::Dimension::RANGE_NOT_SET:
      break;
  }
  return UnknownValue("range of dimension", in.range_case());
}

}  // namespace

const EnumTable<core::FailureKind, v1::FailureKind> kFailureKinds = {
    "failure kind",
    {{core::FailureKind::kNone, v1::FAILURE_KIND_UNSPECIFIED},
     {core::FailureKind::kUserError, v1::FAILURE_KIND_USER_ERROR},
     {core::FailureKind::kOutOfMemory, v1::FAILURE_KIND_OUT_OF_MEMORY},
     {core::FailureKind::kInfrastructure, v1::FAILURE_KIND_INFRASTRUCTURE},
     {core::FailureKind::kPreempted, v1::FAILURE_KIND_PREEMPTED}},
    5};
const EnumTable<core::Accelerator, v1::JournalAccelerator> kAccelerators = {
    "accelerator",
    {{core::Accelerator::kAny, v1::JOURNAL_ACCELERATOR_ANY},
     {core::Accelerator::kCpu, v1::JOURNAL_ACCELERATOR_CPU},
     {core::Accelerator::kGpu, v1::JOURNAL_ACCELERATOR_GPU}},
    3};

std::string Serialize(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::Status Parse(std::string_view bytes, google::protobuf::Message& message) {
  if (bytes.size() <= INT32_MAX &&
      message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("a record of ", bytes.size(), " bytes is no ",
                                          message.GetTypeName(), ": the journal is damaged"));
}

absl::Status UnknownValue(std::string_view what, int value) {
  return absl::FailedPreconditionError(
      absl::StrCat("the journal holds a ", ToAbsl(what), " (", value,
                   ") that this version does not know; start the version that wrote it"));
}

void Encode(const core::Config& value, v1::JournalConfig& out) {
  const auto& [start_timeout, first_backoff, max_backoff] = value;
  out.set_start_timeout_micros(start_timeout);
  out.set_first_backoff_micros(first_backoff);
  out.set_max_backoff_micros(max_backoff);
}

core::Config Decode(const v1::JournalConfig& in) {
  return {in.start_timeout_micros(), in.first_backoff_micros(), in.max_backoff_micros()};
}

void Encode(const core::WorkerRef& value, v1::JournalWorkerRef& out) {
  const auto& [worker_id, incarnation] = value;
  out.set_worker_id(worker_id);
  out.set_incarnation(incarnation);
}

core::WorkerRef Decode(const v1::JournalWorkerRef& in) {
  return {in.worker_id(), in.incarnation()};
}

void Encode(const core::TrialRef& value, v1::JournalTrialRef& out) {
  const auto& [trial_id, attempt] = value;
  out.set_trial_id(trial_id);
  out.set_attempt(attempt);
}

core::TrialRef Decode(const v1::JournalTrialRef& in) { return {in.trial_id(), in.attempt()}; }

void Encode(const core::Checkpoint& value, v1::JournalCheckpoint& out) {
  const auto& [epoch, digest, size_bytes, step] = value;
  out.set_epoch(epoch);
  out.set_digest(digest);
  out.set_size_bytes(size_bytes);
  out.set_step(step);
}

core::Checkpoint Decode(const v1::JournalCheckpoint& in) {
  return {in.epoch(), in.digest(), in.size_bytes(), in.step()};
}

void Encode(const core::Predictions& value, v1::JournalPredictions& out) {
  const auto& [epoch, digest, size_bytes] = value;
  out.set_epoch(epoch);
  out.set_digest(digest);
  out.set_size_bytes(size_bytes);
}

core::Predictions Decode(const v1::JournalPredictions& in) {
  return {in.epoch(), in.digest(), in.size_bytes()};
}

void Encode(const core::Param& value, v1::Param& out) {
  const auto& [path, param] = value;
  out.set_path(path);
  EncodeValue(param, *out.mutable_value());
}

absl::Status Decode(const v1::Param& in, core::Param& out) {
  out.path = in.path();
  return DecodeValue(in.value(), out.value);
}

void Encode(const core::SweepSpec& value, v1::JournalSweepSpec& out) {
  const auto& [name, dataset, objective_metric, goal, method, trials, parallel, search_seed, ranks,
               accelerator, retry, epochs, keep_best, keep_latest, fold_train_samples, space,
               encoded] = value;
  const auto& [user_error, out_of_memory, infrastructure] = retry;
  out.set_name(name);
  out.set_dataset(dataset);
  out.set_objective_metric(objective_metric);
  out.set_goal(kGoals.ToWire(goal));
  out.set_method(kSearchMethods.ToWire(method));
  out.set_trials(trials);
  out.set_parallel(parallel);
  out.set_search_seed(search_seed);
  out.set_ranks(ranks);
  out.set_accelerator(kAccelerators.ToWire(accelerator));
  out.set_retry_user_error(user_error);
  out.set_retry_out_of_memory(out_of_memory);
  out.set_retry_infrastructure(infrastructure);
  out.set_epochs(epochs);
  out.set_keep_best(keep_best);
  out.set_keep_latest(keep_latest);
  out.mutable_fold_train_samples()->Add(fold_train_samples.begin(), fold_train_samples.end());
  for (const core::Dimension& one : space) EncodeDimension(one, *out.add_space());
  out.set_encoded(encoded);
}

absl::Status Decode(const v1::JournalSweepSpec& in, core::SweepSpec& out) {
  out.name = in.name();
  out.dataset = in.dataset();
  out.objective_metric = in.objective_metric();
  MEAD_RETURN_IF_ERROR(kGoals.ToCore(in.goal(), out.goal));
  MEAD_RETURN_IF_ERROR(kSearchMethods.ToCore(in.method(), out.method));
  out.trials = in.trials();
  out.parallel = in.parallel();
  out.search_seed = in.search_seed();
  out.ranks = in.ranks();
  MEAD_RETURN_IF_ERROR(kAccelerators.ToCore(in.accelerator(), out.accelerator));
  out.retry = {in.retry_user_error(), in.retry_out_of_memory(), in.retry_infrastructure()};
  out.epochs = in.epochs();
  out.keep_best = std::max(1, in.keep_best());
  out.keep_latest = std::max(1, in.keep_latest());
  out.fold_train_samples.assign(in.fold_train_samples().begin(), in.fold_train_samples().end());
  for (const v1::Dimension& one : in.space()) {
    MEAD_RETURN_IF_ERROR(DecodeDimension(one, out.space.emplace_back()));
  }
  out.encoded = in.encoded();
  return absl::OkStatus();
}

}  // namespace mead::store::codec
