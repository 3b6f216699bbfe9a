#include "worker/agent/member.h"

#include <google/protobuf/util/time_util.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/sha256.h"
#include "common/status_util.h"
#include "worker/agent/backoff.h"

namespace mead::agent {
namespace {

// Logs go out this often, or as soon as a batch is this large.
constexpr absl::Duration kLogInterval = absl::Milliseconds(300);
constexpr int kLogBatchLines = 200;

// Of a status: the checkpoint to go on from is damaged or gone where it was stored.
constexpr char kDamagedCheckpoint[] = "mead.damaged_checkpoint";

// The digests of a manifest's shards, in its order. The agent needs nothing else
// of it: what the pictures are is the trainer's business.
absl::StatusOr<std::vector<std::string>> ShardsOf(const std::filesystem::path& manifest) {
  MEAD_ASSIGN_OR_RETURN(const std::string text, ReadFile(manifest));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto shards = json.is_object() ? json.find("shards") : json.end();
  if (!json.is_object() || shards == json.end() || !shards->is_array()) {
    return absl::DataLossError(absl::StrCat(manifest.string(), " is not a data set's manifest"));
  }
  std::vector<std::string> digests;
  for (const auto& shard : *shards) {
    const auto digest = shard.is_object() ? shard.find("digest") : shard.end();
    if (!shard.is_object() || digest == shard.end() || !digest->is_string()) {
      return absl::DataLossError(absl::StrCat(manifest.string(), ": a shard has no digest"));
    }
    digests.push_back(digest->get<std::string>());
  }
  return digests;
}

// "epoch 3", or in the midst of one "epoch 4 after 17 steps".
std::string PlaceOf(const v1::WrittenCheckpoint& checkpoint) {
  if (checkpoint.step() == 0) return absl::StrCat("epoch ", checkpoint.epoch());
  return absl::StrCat("epoch ", checkpoint.epoch() + 1, " after ", checkpoint.step(), " steps");
}

// A file that the trainer has written for the coordinator.
struct Written {
  bool in_mid_epoch = false;  // a checkpoint that a later one makes needless
  std::filesystem::path path;
  std::string what;  // in words
};

Written WrittenOf(const v1::AttachRequest& message) {
  if (message.has_checkpoint()) {
    return {.in_mid_epoch = message.checkpoint().step() > 0,
            .path = message.checkpoint().path(),
            .what = absl::StrCat("the checkpoint of ", PlaceOf(message.checkpoint()))};
  }
  return {
      .path = message.predictions().path(),
      .what = absl::StrCat("the record of predictions of epoch ", message.predictions().epoch())};
}

// Tells the coordinator that it holds the file now.
void Announce(const v1::AttachRequest& message, const std::string& digest, uint64_t bytes,
              v1::Report& report) {
  const auto announce = [&](const auto& written, auto& announced) {
    announced.set_epoch(written.epoch());
    announced.set_digest(digest);
    announced.set_size_bytes(bytes);
  };
  if (message.has_checkpoint()) {
    announce(message.checkpoint(), *report.mutable_checkpoint());
    report.mutable_checkpoint()->set_step(message.checkpoint().step());
    *report.mutable_checkpoint()->mutable_ledger() = message.checkpoint().ledger();
  } else {
    announce(message.predictions(), *report.mutable_predictions());
  }
}

}  // namespace

v1::LogLine MakeLogLine(const v1::Member& member, std::string text) {
  v1::LogLine line;
  *line.mutable_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  line.set_rank(member.rank());
  line.set_attempt(member.trial().attempt());
  line.set_text(std::move(text));
  return line;
}

Member::Member(const MemberContext& context, v1::Assign assign,
               std::function<void(uint64_t)> on_ended)
    : context_(context),
      assign_(std::move(assign)),
      work_dir_(context.work_dir / absl::StrCat(assign_.trial().trial_id(), ".",
                                                assign_.trial().attempt(), ".", assign_.rank())),
      on_ended_(std::move(on_ended)),
      alive_(std::make_shared<Member*>(this)) {}

Member::~Member() {
  to_upload_.Close();
  // Before the folder that they read from goes.
  fetch_thread_ = {};
  upload_thread_ = {};
  std::error_code ignored;
  std::filesystem::remove_all(work_dir_, ignored);
}

v1::Member Member::AsHeld() const {
  v1::Member held;
  *held.mutable_trial() = assign_.trial();
  held.set_rank(assign_.rank());
  held.set_slot(assign_.slot());
  return held;
}

void Member::Post(std::function<void()> task) {
  context_.loop.Post([alive = std::weak_ptr<Member*>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

void Member::Start() {
  if (const absl::Status status = MakeDirs(work_dir_); !status.ok()) {
    process_ended_ = true;
    return Finish({false, v1::FAILURE_KIND_INFRASTRUCTURE, status.ToString()});
  }
  ReportPhase("fetch");
  // Side by side: libraries load while the data comes.
  context_.trainers.Acquire(assign_.slot());
  fetch_thread_ = std::jthread([this](std::stop_token stop) {
    absl::StatusOr<Fetched> result = Fetch(stop);
    if (!result.ok()) {
      return Post([this, status = result.status()] {
        const bool damaged = status.GetPayload(kDamagedCheckpoint).has_value();
        Finish({false, v1::FAILURE_KIND_INFRASTRUCTURE,
                absl::StrCat("cannot fetch the trial's ", damaged ? "checkpoint: " : "data: ",
                             status.ToString(absl::StatusToStringMode::kWithNoExtraData)),
                damaged});
      });
    }
    Post([this, fetched = std::make_shared<Fetched>(*std::move(result))] {
      fetched_ = std::make_unique<Fetched>(std::move(*fetched));
      ReportPhase("start");
      PrepareWhenPossible();
    });
  });
}

absl::StatusOr<Member::Fetched> Member::Fetch(std::stop_token stop) const {
  Fetched fetched;
  MEAD_ASSIGN_OR_RETURN(fetched.manifest, context_.cache.Fetch(assign_.manifest_digest(), stop));
  MEAD_ASSIGN_OR_RETURN(const std::vector<std::string> shards, ShardsOf(fetched.manifest.path()));
  for (const std::string& digest : shards) {
    MEAD_ASSIGN_OR_RETURN(ArtifactCache::Pin shard, context_.cache.Fetch(digest, stop));
    fetched.shards.push_back(std::move(shard));
  }
  if (!assign_.resume_from().digest().empty()) {
    absl::StatusOr<ArtifactCache::Pin> resume =
        context_.cache.Fetch(assign_.resume_from().digest(), stop);
    if (!resume.ok()) {
      absl::Status status = resume.status();
      // These stay as they are: trying again would not help, another checkpoint may.
      if (absl::IsDataLoss(status) || absl::IsNotFound(status)) {
        status.SetPayload(kDamagedCheckpoint, absl::Cord());
      }
      return status;
    }
    fetched.resume = *std::move(resume);
  } else if (!assign_.config().weights_artifact().empty()) {
    MEAD_ASSIGN_OR_RETURN(fetched.weights,
                          context_.cache.Fetch(assign_.config().weights_artifact(), stop));
  }
  return fetched;
}

void Member::OnTrainerReady() {
  trainer_ready_ = true;
  PrepareWhenPossible();
}

void Member::PrepareWhenPossible() {
  if (finished_ || prepared_ || !trainer_ready_ || fetched_ == nullptr) return;
  prepared_ = true;
  v1::AttachResponse response;
  v1::Prepare& prepare = *response.mutable_prepare();
  *prepare.mutable_trial() = assign_.trial();
  prepare.set_rank(assign_.rank());
  prepare.set_world_size(assign_.world_size());
  *prepare.mutable_config() = assign_.config();
  *prepare.mutable_objective() = assign_.objective();
  prepare.set_manifest_path(fetched_->manifest.path().string());
  for (const ArtifactCache::Pin& shard : fetched_->shards) {
    prepare.add_shard_paths(shard.path().string());
  }
  prepare.set_weights_path(fetched_->weights.path().string());
  prepare.set_resume_path(fetched_->resume.path().string());
  prepare.set_resume_epoch(assign_.resume_from().epoch());
  prepare.set_resume_step(assign_.resume_from().step());
  prepare.set_work_dir(work_dir_.string());
  prepare.set_host(context_.host);
  prepare.set_threads(context_.threads);
  prepare.set_device(context_.gpu ? absl::StrCat("cuda:", assign_.slot()) : "cpu");
  prepare.set_cache_dir(context_.decoded_dir.string());
  prepare.set_cache_limit_bytes(context_.decoded_limit_bytes);
  context_.trainers.Send(assign_.slot(), response);
}

void Member::Go(const std::string& rendezvous) {
  if (finished_) return;
  v1::AttachResponse response;
  response.mutable_start()->set_rendezvous(rendezvous);
  context_.trainers.Send(assign_.slot(), response);
}

void Member::Abort(const std::string& reason, v1::FailureKind kind) {
  if (finished_ && !ended_ && (outcome_.succeeded || outcome_.yielded)) {
    // Trained, but its checkpoints are still on their way; nobody wants them now.
    if (outcome_.succeeded) process_ended_ = true;  // its trainer is warm and idle again
    outcome_ = {false, kind, reason};
    upload_thread_.request_stop();
    return EndWhenPossible();
  }
  Finish({false, kind, reason});
}

void Member::Yield(const std::string& reason, absl::Duration grace) {
  if (finished_) return;  // it ends without being asked
  yield_reason_ = reason;
  if (!prepared_) return Finish({false, v1::FAILURE_KIND_PREEMPTED, reason});
  context_.trainers.AskToEnd(assign_.slot(), grace);
}

void Member::OnTrainerMessage(const v1::AttachRequest& message) {
  if (finished_) return;
  v1::Report report = NewReport();
  switch (message.message_case()) {
    case v1::AttachRequest::kReady:
      *report.mutable_ready() = message.ready();
      context_.outbox.Add(std::move(report));
      break;
    case v1::AttachRequest::kProgress:
      *report.mutable_progress() = message.progress();
      context_.outbox.AddProgress(std::move(report));
      break;
    case v1::AttachRequest::kEpoch:
      *report.mutable_epoch() = message.epoch();
      context_.outbox.Add(std::move(report));
      break;
    case v1::AttachRequest::kLrRange:
      *report.mutable_lr_range() = message.lr_range();
      context_.outbox.Add(std::move(report));
      break;
    case v1::AttachRequest::kCheckpoint:
    case v1::AttachRequest::kPredictions:
      ++uploads_pending_;
      if (!upload_thread_.joinable()) {
        upload_thread_ = std::jthread([this](std::stop_token stop) { UploadAll(stop); });
      }
      to_upload_.Push(message);
      break;
    case v1::AttachRequest::kExited:
      Finish({message.exited().succeeded(), message.exited().kind(), message.exited().message(),
              message.exited().checkpoint_damaged(), message.exited().yielded()});
      break;
    default:
      break;
  }
}

void Member::UploadAll(std::stop_token stop) {
  const std::stop_callback close(stop, [this] { to_upload_.Close(); });
  Backoff backoff(absl::Milliseconds(300), absl::Seconds(5),
                  context_.seed + static_cast<uint64_t>(assign_.rank()));
  while (const std::optional<v1::AttachRequest> message = to_upload_.Pop()) {
    const Written written = WrittenOf(*message);
    const std::filesystem::path& path = written.path;
    if (written.in_mid_epoch && to_upload_.size() > 0) {
      // A newer one waits already: what the network is too slow for is left out.
      Post([this] {
        --uploads_pending_;
        EndWhenPossible();
      });
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      continue;
    }
    const absl::StatusOr<std::string> digest = DigestOfFile(path);
    absl::Status status = digest.status();
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    bool said = false;
    while (digest.ok() && !stop.stop_requested()) {
      status = context_.artifacts.Upload(*digest, path, stop);
      if (status.ok() || !IsTransient(status)) break;
      // Also when the coordinator's disk is full: somebody will make room, and
      // the trial must not be thrown away for it.
      if (!std::exchange(said, true)) {
        Post([this, text = absl::StrCat(written.what, " is stored when it can be: ",
                                        status.ToString())] { AddLog(text); });
      }
      WaitUnlessStopped(backoff.Next(), stop);
    }
    if (stop.stop_requested()) return;
    backoff.Reset();
    Post([this, status, written, message = *message, digest = digest.ok() ? *digest : "", bytes] {
      --uploads_pending_;
      if (status.ok()) {
        v1::Report report = NewReport();
        Announce(message, digest, bytes, report);
        context_.outbox.Add(std::move(report));
      } else {
        AddLog(absl::StrCat(written.what, " is lost: ", status.ToString()));
      }
      EndWhenPossible();
    });
    std::filesystem::remove(path, error);
  }
}

void Member::OnTrainerEnded(const std::string& how) {
  process_ended_ = true;
  if (yield_reason_.empty()) {
    Finish({false, v1::FAILURE_KIND_INFRASTRUCTURE, how});
  } else {
    Finish({false, v1::FAILURE_KIND_PREEMPTED, yield_reason_});  // before it trained
  }
  EndWhenPossible();
}

void Member::Finish(Outcome outcome) {
  if (finished_) return;
  finished_ = true;
  outcome_ = std::move(outcome);
  if (fetch_thread_.joinable()) fetch_thread_.request_stop();
  if (!outcome_.succeeded && !process_ended_) {
    // After any fault, and in the midst of a trial, a trainer is not used again.
    if (!context_.trainers.Discard(assign_.slot())) process_ended_ = true;
  }
  EndWhenPossible();
}

void Member::EndWhenPossible() {
  if (!finished_ || ended_) return;
  if ((outcome_.succeeded || outcome_.yielded) && uploads_pending_ > 0) return;
  if (!outcome_.succeeded && !process_ended_) return;
  ended_ = true;
  FlushLogs();
  v1::Report report = NewReport();
  report.mutable_exited()->set_succeeded(outcome_.succeeded);
  report.mutable_exited()->set_kind(outcome_.kind);
  report.mutable_exited()->set_message(outcome_.message);
  report.mutable_exited()->set_checkpoint_damaged(outcome_.checkpoint_damaged);
  report.mutable_exited()->set_yielded(outcome_.yielded);
  const uint64_t sequence = context_.outbox.Add(std::move(report));
  Post([this, sequence] { on_ended_(sequence); });
}

v1::Report Member::NewReport() const {
  v1::Report report;
  *report.mutable_trial() = assign_.trial();
  report.set_rank(assign_.rank());
  return report;
}

void Member::ReportPhase(const std::string& phase) {
  if (assign_.rank() != 0 || finished_) return;  // rank 0 speaks for the gang
  v1::Report report = NewReport();
  report.mutable_progress()->set_phase(phase);
  report.mutable_progress()->set_epoch(assign_.resume_from().epoch() + 1);
  context_.outbox.AddProgress(std::move(report));
}

void Member::OnLines(std::vector<std::string> lines) {
  for (std::string& line : lines) AddLog(std::move(line));
}

void Member::AddLog(std::string line) {
  *logs_.add_lines() = MakeLogLine(AsHeld(), std::move(line));
  if (logs_.lines_size() >= kLogBatchLines) return FlushLogs();
  if (std::exchange(flush_scheduled_, true)) return;
  context_.loop.PostAfter(kLogInterval, [this, alive = std::weak_ptr<Member*>(alive_)] {
    if (alive.expired()) return;
    flush_scheduled_ = false;
    FlushLogs();
  });
}

void Member::FlushLogs() {
  if (logs_.lines_size() == 0) return;
  if (dropped_lines_ > 0) {
    v1::LogLine& mark = *logs_.mutable_lines(0);
    mark.set_text(absl::StrCat("[", dropped_lines_,
                               " lines were dropped while the coordinator was "
                               "away] ",
                               mark.text()));
  }
  const int lines = logs_.lines_size();
  v1::Report report = NewReport();
  report.mutable_logs()->Swap(&logs_);
  logs_.Clear();
  if (context_.outbox.AddLogs(std::move(report))) {
    dropped_lines_ = 0;
  } else {
    dropped_lines_ += static_cast<uint64_t>(lines);
  }
}

}  // namespace mead::agent
