#include <utility>

#include "common/status_util.h"
#include "coordinator/store/codec.h"
#include "coordinator/store/codec_values.h"

namespace mead::store {
namespace {

using codec::Decode;
using codec::Encode;
using v1::JournalEvent;

struct Encoder {
  JournalEvent& out;

  void operator()(const core::Configured& event) const {
    Encode(event.config, *out.mutable_configured());
  }
  void operator()(const core::DatasetCreated& event) const {
    const auto& [name, manifest_digest, train_samples, encoded] = event;
    v1::JournalDataset& to = *out.mutable_dataset_created();
    to.set_name(name);
    to.set_manifest_digest(manifest_digest);
    to.set_train_samples(train_samples);
    to.set_encoded(encoded);
  }
  void operator()(const core::DatasetDeleted& event) const {
    const auto& [name] = event;
    out.mutable_dataset_deleted()->set_name(name);
  }
  void operator()(const core::SweepSubmitted& event) const {
    const auto& [sweep_id, request_id, spec] = event;
    JournalEvent::SweepSubmitted& to = *out.mutable_sweep_submitted();
    to.set_sweep_id(sweep_id);
    to.set_request_id(request_id);
    Encode(spec, *to.mutable_spec());
  }
  void operator()(const core::SweepStopRequested& event) const {
    const auto& [sweep_id] = event;
    out.mutable_sweep_stop_requested()->set_sweep_id(sweep_id);
  }
  void operator()(const core::TrialStopRequested& event) const {
    const auto& [trial_id] = event;
    out.mutable_trial_stop_requested()->set_trial_id(trial_id);
  }
  void operator()(const core::WorkerRegistered& event) const {
    const auto& [worker_id, instance_id, address, version, accelerator, device, slots, held] =
        event;
    JournalEvent::WorkerRegistered& to = *out.mutable_worker_registered();
    to.set_worker_id(worker_id);
    to.set_instance_id(instance_id);
    to.set_address(address);
    to.set_version(version);
    to.set_accelerator(codec::kAccelerators.ToWire(accelerator));
    to.set_device(device);
    to.set_slots(slots);
    for (const auto& [trial, rank, slot, ended] : held) {
      JournalEvent::HeldMember& member = *to.add_held();
      Encode(trial, *member.mutable_trial());
      member.set_rank(rank);
      member.set_slot(slot);
      member.set_ended(ended);
    }
  }
  void operator()(const core::WorkerLost& event) const {
    const auto& [worker, reason] = event;
    Encode(worker, *out.mutable_worker_lost()->mutable_worker());
    out.mutable_worker_lost()->set_reason(reason);
  }
  void operator()(const core::WorkerDraining& event) const {
    const auto& [worker] = event;
    Encode(worker, *out.mutable_worker_draining()->mutable_worker());
  }
  void operator()(const core::MemberReady& event) const {
    const auto& [worker, trial, rank, rendezvous] = event;
    JournalEvent::MemberReady& to = *out.mutable_member_ready();
    Encode(worker, *to.mutable_worker());
    Encode(trial, *to.mutable_trial());
    to.set_rank(rank);
    to.set_rendezvous(rendezvous);
  }
  void operator()(const core::EpochReported& event) const {
    const auto& [worker, trial, epoch, objective] = event;
    JournalEvent::EpochReported& to = *out.mutable_epoch_reported();
    Encode(worker, *to.mutable_worker());
    Encode(trial, *to.mutable_trial());
    to.set_epoch(epoch);
    to.set_objective(objective);
  }
  void operator()(const core::CheckpointSaved& event) const {
    const auto& [worker, trial, epoch, digest, size_bytes, step] = event;
    JournalEvent::CheckpointSaved& to = *out.mutable_checkpoint_saved();
    Encode(worker, *to.mutable_worker());
    Encode(trial, *to.mutable_trial());
    Encode(core::Checkpoint{epoch, digest, size_bytes, step}, *to.mutable_checkpoint());
  }
  void operator()(const core::PredictionsSaved& event) const {
    const auto& [worker, trial, epoch, digest, size_bytes] = event;
    JournalEvent::PredictionsSaved& to = *out.mutable_predictions_saved();
    Encode(worker, *to.mutable_worker());
    Encode(trial, *to.mutable_trial());
    Encode(core::Predictions{epoch, digest, size_bytes}, *to.mutable_predictions());
  }
  void operator()(const core::MemberExited& event) const {
    const auto& [worker, trial, rank, succeeded, kind, message, checkpoint_damaged, yielded] =
        event;
    JournalEvent::MemberExited& to = *out.mutable_member_exited();
    Encode(worker, *to.mutable_worker());
    Encode(trial, *to.mutable_trial());
    to.set_rank(rank);
    to.set_succeeded(succeeded);
    to.set_kind(codec::kFailureKinds.ToWire(kind));
    to.set_message(message);
    to.set_checkpoint_damaged(checkpoint_damaged);
    to.set_yielded(yielded);
  }
  void operator()(const core::CheckpointsDropped& event) const {
    JournalEvent::CheckpointsDropped& to = *out.mutable_checkpoints_dropped();
    for (const std::string& digest : event.digests) to.add_digests(digest);
  }
  void operator()(const core::Tick&) const { out.mutable_tick(); }
};

absl::Status DecodeRegistered(const JournalEvent::WorkerRegistered& in,
                              core::WorkerRegistered& out) {
  out.worker_id = in.worker_id();
  out.instance_id = in.instance_id();
  out.address = in.address();
  out.version = in.version();
  MEAD_RETURN_IF_ERROR(codec::kAccelerators.ToCore(in.accelerator(), out.accelerator));
  out.device = in.device();
  out.slots = in.slots();
  for (const JournalEvent::HeldMember& member : in.held()) {
    out.held.push_back({Decode(member.trial()), member.rank(), member.slot(), member.ended()});
  }
  return absl::OkStatus();
}

absl::Status DecodeExited(const JournalEvent::MemberExited& in, core::MemberExited& out) {
  out.worker = Decode(in.worker());
  out.trial = Decode(in.trial());
  out.rank = in.rank();
  out.succeeded = in.succeeded();
  out.message = in.message();
  out.checkpoint_damaged = in.checkpoint_damaged();
  out.yielded = in.yielded();
  return codec::kFailureKinds.ToCore(in.kind(), out.kind);
}

}  // namespace

std::string EncodeEvent(const core::Event& event) {
  const auto& [at, body] = event;
  JournalEvent record;
  record.set_at_micros(at);
  std::visit(Encoder{record}, body);
  return codec::Serialize(record);
}

absl::StatusOr<core::Event> DecodeEvent(std::string_view bytes) {
  JournalEvent record;
  MEAD_RETURN_IF_ERROR(codec::Parse(bytes, record));
  core::Event event;
  event.at = record.at_micros();
  switch (record.body_case()) {
    case JournalEvent::kConfigured:
      event.body = core::Configured{Decode(record.configured())};
      return event;
    case JournalEvent::kDatasetCreated: {
      const v1::JournalDataset& in = record.dataset_created();
      event.body =
          core::DatasetCreated{in.name(), in.manifest_digest(), in.train_samples(), in.encoded()};
      return event;
    }
    case JournalEvent::kDatasetDeleted:
      event.body = core::DatasetDeleted{record.dataset_deleted().name()};
      return event;
    case JournalEvent::kSweepSubmitted: {
      const JournalEvent::SweepSubmitted& in = record.sweep_submitted();
      core::SweepSubmitted& out = event.body.emplace<core::SweepSubmitted>();
      out.sweep_id = in.sweep_id();
      out.request_id = in.request_id();
      MEAD_RETURN_IF_ERROR(Decode(in.spec(), out.spec));
      return event;
    }
    case JournalEvent::kSweepStopRequested:
      event.body = core::SweepStopRequested{record.sweep_stop_requested().sweep_id()};
      return event;
    case JournalEvent::kTrialStopRequested:
      event.body = core::TrialStopRequested{record.trial_stop_requested().trial_id()};
      return event;
    case JournalEvent::kWorkerRegistered:
      MEAD_RETURN_IF_ERROR(DecodeRegistered(record.worker_registered(),
                                            event.body.emplace<core::WorkerRegistered>()));
      return event;
    case JournalEvent::kWorkerLost:
      event.body =
          core::WorkerLost{Decode(record.worker_lost().worker()), record.worker_lost().reason()};
      return event;
    case JournalEvent::kWorkerDraining:
      event.body = core::WorkerDraining{Decode(record.worker_draining().worker())};
      return event;
    case JournalEvent::kMemberReady: {
      const JournalEvent::MemberReady& in = record.member_ready();
      event.body =
          core::MemberReady{Decode(in.worker()), Decode(in.trial()), in.rank(), in.rendezvous()};
      return event;
    }
    case JournalEvent::kEpochReported: {
      const JournalEvent::EpochReported& in = record.epoch_reported();
      event.body =
          core::EpochReported{Decode(in.worker()), Decode(in.trial()), in.epoch(), in.objective()};
      return event;
    }
    case JournalEvent::kCheckpointSaved: {
      const JournalEvent::CheckpointSaved& in = record.checkpoint_saved();
      const auto [epoch, digest, size_bytes, step] = Decode(in.checkpoint());
      event.body = core::CheckpointSaved{
          Decode(in.worker()), Decode(in.trial()), epoch, digest, size_bytes, step};
      return event;
    }
    case JournalEvent::kPredictionsSaved: {
      const JournalEvent::PredictionsSaved& in = record.predictions_saved();
      const auto [epoch, digest, size_bytes] = Decode(in.predictions());
      event.body = core::PredictionsSaved{Decode(in.worker()), Decode(in.trial()), epoch, digest,
                                          size_bytes};
      return event;
    }
    case JournalEvent::kMemberExited:
      MEAD_RETURN_IF_ERROR(
          DecodeExited(record.member_exited(), event.body.emplace<core::MemberExited>()));
      return event;
    case JournalEvent::kCheckpointsDropped: {
      const auto& digests = record.checkpoints_dropped().digests();
      event.body = core::CheckpointsDropped{{digests.begin(), digests.end()}};
      return event;
    }
    case JournalEvent::kTick:
      event.body = core::Tick{};
      return event;
    case JournalEvent::BODY_NOT_SET:
      break;
  }
  return codec::UnknownValue("kind of event", record.body_case());
}

}  // namespace mead::store
