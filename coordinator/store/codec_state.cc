#include <utility>

#include "common/status_util.h"
#include "coordinator/store/codec.h"
#include "coordinator/store/codec_values.h"

namespace mead::store {
namespace {

using codec::Decode;
using codec::Encode;
using v1::JournalSnapshot;

const codec::EnumTable<core::TrialState, v1::TrialState> kTrialStates = {
    "trial state",
    {{core::TrialState::kQueued, v1::TRIAL_STATE_QUEUED},
     {core::TrialState::kStarting, v1::TRIAL_STATE_STARTING},
     {core::TrialState::kRunning, v1::TRIAL_STATE_RUNNING},
     {core::TrialState::kStopping, v1::TRIAL_STATE_STOPPING},
     {core::TrialState::kSucceeded, v1::TRIAL_STATE_SUCCEEDED},
     {core::TrialState::kFailed, v1::TRIAL_STATE_FAILED},
     {core::TrialState::kStopped, v1::TRIAL_STATE_STOPPED}},
    7};
const codec::EnumTable<core::SweepState, v1::SweepState> kSweepStates = {
    "sweep state",
    {{core::SweepState::kRunning, v1::SWEEP_STATE_RUNNING},
     {core::SweepState::kStopping, v1::SWEEP_STATE_STOPPING},
     {core::SweepState::kSucceeded, v1::SWEEP_STATE_SUCCEEDED},
     {core::SweepState::kFailed, v1::SWEEP_STATE_FAILED},
     {core::SweepState::kStopped, v1::SWEEP_STATE_STOPPED}},
    5};
const codec::EnumTable<core::SlotState, v1::SlotState> kSlotStates = {
    "slot state",
    {{core::SlotState::kIdle, v1::SLOT_STATE_IDLE},
     {core::SlotState::kReserved, v1::SLOT_STATE_RESERVED},
     {core::SlotState::kBusy, v1::SLOT_STATE_BUSY},
     {core::SlotState::kDraining, v1::SLOT_STATE_DRAINING},
     {core::SlotState::kLost, v1::SLOT_STATE_LOST}},
    5};

void EncodeDataset(const core::Dataset& value, v1::JournalDataset& out) {
  const auto& [name, manifest_digest, train_samples, encoded] = value;
  out.set_name(name);
  out.set_manifest_digest(manifest_digest);
  out.set_train_samples(train_samples);
  out.set_encoded(encoded);
}

void EncodeWorker(const core::Worker& value, JournalSnapshot::Worker& out) {
  const auto& [id, instance_id, incarnation, address, version, accelerator, device, lost, lost_time,
               slots, draining] = value;
  out.set_id(id);
  out.set_instance_id(instance_id);
  out.set_incarnation(incarnation);
  out.set_address(address);
  out.set_version(version);
  out.set_accelerator(codec::kAccelerators.ToWire(accelerator));
  out.set_device(device);
  out.set_lost(lost);
  out.set_lost_time_micros(lost_time);
  out.set_draining(draining);
  for (const auto& [state, trial, rank] : slots) {
    JournalSnapshot::Slot& slot = *out.add_slots();
    slot.set_state(kSlotStates.ToWire(state));
    Encode(trial, *slot.mutable_trial());
    slot.set_rank(rank);
  }
}

absl::Status DecodeWorker(const JournalSnapshot::Worker& in, core::Worker& out) {
  out.id = in.id();
  out.instance_id = in.instance_id();
  out.incarnation = in.incarnation();
  out.address = in.address();
  out.version = in.version();
  MEAD_RETURN_IF_ERROR(codec::kAccelerators.ToCore(in.accelerator(), out.accelerator));
  out.device = in.device();
  out.lost = in.lost();
  out.lost_time = in.lost_time_micros();
  out.draining = in.draining();
  for (const JournalSnapshot::Slot& slot : in.slots()) {
    core::Slot& to = out.slots.emplace_back();
    MEAD_RETURN_IF_ERROR(kSlotStates.ToCore(slot.state(), to.state));
    to.trial = Decode(slot.trial());
    to.rank = slot.rank();
  }
  return absl::OkStatus();
}

void EncodeTrial(const core::Trial& value, JournalSnapshot::Trial& out) {
  const auto& [id, sweep_id, index, state, params, attempt, gang, rendezvous, start_deadline,
               not_before, epochs_done, objectives, has_best, best_value, best_epoch, latest, best,
               older, latest_damaged, user_error_retries, out_of_memory_retries,
               infrastructure_retries, failures_in_a_row, stop_requested, failure, failure_message,
               message, start_time, end_time, latest_predictions, best_predictions, yield_deadline,
               preemptions] = value;
  out.set_id(id);
  out.set_sweep_id(sweep_id);
  out.set_index(index);
  out.set_state(kTrialStates.ToWire(state));
  for (const core::Param& param : params) Encode(param, *out.add_params());
  out.set_attempt(attempt);
  for (const auto& [worker, slot, ready, exited, succeeded] : gang) {
    JournalSnapshot::GangMember& member = *out.add_gang();
    Encode(worker, *member.mutable_worker());
    member.set_slot(slot);
    member.set_ready(ready);
    member.set_exited(exited);
    member.set_succeeded(succeeded);
  }
  out.set_rendezvous(rendezvous);
  out.set_start_deadline_micros(start_deadline);
  out.set_not_before_micros(not_before);
  out.set_epochs_done(epochs_done);
  for (const auto& [epoch, objective] : objectives) {
    JournalSnapshot::Objective& to = *out.add_objectives();
    to.set_epoch(epoch);
    to.set_value(objective);
  }
  out.set_best_known(has_best);
  out.set_best_value(best_value);
  out.set_best_epoch(best_epoch);
  Encode(latest, *out.mutable_latest());
  Encode(best, *out.mutable_best());
  for (const core::Checkpoint& one : older) Encode(one, *out.add_older());
  out.set_latest_damaged(latest_damaged);
  out.set_user_error_retries(user_error_retries);
  out.set_out_of_memory_retries(out_of_memory_retries);
  out.set_infrastructure_retries(infrastructure_retries);
  out.set_failures_in_a_row(failures_in_a_row);
  out.set_stop_requested(stop_requested);
  out.set_failure(codec::kFailureKinds.ToWire(failure));
  out.set_failure_message(failure_message);
  out.set_message(message);
  out.set_start_time_micros(start_time);
  out.set_end_time_micros(end_time);
  Encode(latest_predictions, *out.mutable_latest_predictions());
  Encode(best_predictions, *out.mutable_best_predictions());
  out.set_yield_deadline_micros(yield_deadline);
  out.set_preemptions(preemptions);
}

absl::Status DecodeTrial(const JournalSnapshot::Trial& in, core::Trial& out) {
  out.id = in.id();
  out.sweep_id = in.sweep_id();
  out.index = in.index();
  MEAD_RETURN_IF_ERROR(kTrialStates.ToCore(in.state(), out.state));
  for (const v1::Param& param : in.params()) {
    MEAD_RETURN_IF_ERROR(Decode(param, out.params.emplace_back()));
  }
  out.attempt = in.attempt();
  for (const JournalSnapshot::GangMember& member : in.gang()) {
    out.gang.push_back({Decode(member.worker()), member.slot(), member.ready(), member.exited(),
                        member.succeeded()});
  }
  out.rendezvous = in.rendezvous();
  out.start_deadline = in.start_deadline_micros();
  out.not_before = in.not_before_micros();
  out.epochs_done = in.epochs_done();
  for (const JournalSnapshot::Objective& one : in.objectives()) {
    out.objectives[one.epoch()] = one.value();
  }
  out.has_best = in.best_known();
  out.best_value = in.best_value();
  out.best_epoch = in.best_epoch();
  out.latest = Decode(in.latest());
  out.best = Decode(in.best());
  for (const v1::JournalCheckpoint& one : in.older()) out.older.push_back(Decode(one));
  out.latest_damaged = in.latest_damaged();
  out.latest_predictions = Decode(in.latest_predictions());
  out.best_predictions = Decode(in.best_predictions());
  out.yield_deadline = in.yield_deadline_micros();
  out.preemptions = in.preemptions();
  out.user_error_retries = in.user_error_retries();
  out.out_of_memory_retries = in.out_of_memory_retries();
  out.infrastructure_retries = in.infrastructure_retries();
  out.failures_in_a_row = in.failures_in_a_row();
  out.stop_requested = in.stop_requested();
  MEAD_RETURN_IF_ERROR(codec::kFailureKinds.ToCore(in.failure(), out.failure));
  out.failure_message = in.failure_message();
  out.message = in.message();
  out.start_time = in.start_time_micros();
  out.end_time = in.end_time_micros();
  return absl::OkStatus();
}

void EncodeSweep(const core::Sweep& value, JournalSnapshot::Sweep& out) {
  const auto& [id, request_id, spec, state, total_trials, trial_ids, live_trials, create_time,
               end_time, best_trial_id, message] = value;
  out.set_id(id);
  out.set_request_id(request_id);
  Encode(spec, *out.mutable_spec());
  out.set_state(kSweepStates.ToWire(state));
  out.set_total_trials(total_trials);
  for (const std::string& trial_id : trial_ids) out.add_trial_ids(trial_id);
  for (const int index : live_trials) out.add_live_trials(index);
  out.set_create_time_micros(create_time);
  out.set_end_time_micros(end_time);
  out.set_best_trial_id(best_trial_id);
  out.set_message(message);
}

absl::Status DecodeSweep(const JournalSnapshot::Sweep& in, core::Sweep& out) {
  out.id = in.id();
  out.request_id = in.request_id();
  MEAD_RETURN_IF_ERROR(Decode(in.spec(), out.spec));
  MEAD_RETURN_IF_ERROR(kSweepStates.ToCore(in.state(), out.state));
  out.total_trials = in.total_trials();
  out.trial_ids.assign(in.trial_ids().begin(), in.trial_ids().end());
  out.live_trials.insert(in.live_trials().begin(), in.live_trials().end());
  out.create_time = in.create_time_micros();
  out.end_time = in.end_time_micros();
  out.best_trial_id = in.best_trial_id();
  out.message = in.message();
  return absl::OkStatus();
}

}  // namespace

// The maps are keyed by what their values are named, so the names are not
// written twice.
std::string EncodeState(const core::ClusterState& state) {
  const auto& [config, next_incarnation, last_event_time, next_deadline, datasets, workers, sweeps,
               sweep_order, trials, requests] = state;
  JournalSnapshot out;
  Encode(config, *out.mutable_config());
  out.set_next_incarnation(next_incarnation);
  out.set_last_event_time_micros(last_event_time);
  out.set_next_deadline_micros(next_deadline);
  for (const auto& [name, dataset] : datasets) EncodeDataset(dataset, *out.add_datasets());
  for (const auto& [id, worker] : workers) EncodeWorker(worker, *out.add_workers());
  for (const auto& [id, sweep] : sweeps) EncodeSweep(sweep, *out.add_sweeps());
  for (const std::string& id : sweep_order) out.add_sweep_order(id);
  for (const auto& [id, trial] : trials) EncodeTrial(trial, *out.add_trials());
  for (const auto& [request_id, sweep_id] : requests) {
    JournalSnapshot::Request& request = *out.add_requests();
    request.set_request_id(request_id);
    request.set_sweep_id(sweep_id);
  }
  return codec::Serialize(out);
}

absl::StatusOr<core::ClusterState> DecodeState(std::string_view bytes) {
  JournalSnapshot in;
  MEAD_RETURN_IF_ERROR(codec::Parse(bytes, in));
  core::ClusterState state;
  state.config = Decode(in.config());
  state.next_incarnation = in.next_incarnation();
  state.last_event_time = in.last_event_time_micros();
  state.next_deadline = in.next_deadline_micros();
  for (const v1::JournalDataset& one : in.datasets()) {
    state.datasets[one.name()] = {one.name(), one.manifest_digest(), one.train_samples(),
                                  one.encoded()};
  }
  for (const JournalSnapshot::Worker& one : in.workers()) {
    MEAD_RETURN_IF_ERROR(DecodeWorker(one, state.workers[one.id()]));
  }
  for (const JournalSnapshot::Sweep& one : in.sweeps()) {
    MEAD_RETURN_IF_ERROR(DecodeSweep(one, state.sweeps[one.id()]));
  }
  state.sweep_order.assign(in.sweep_order().begin(), in.sweep_order().end());
  for (const JournalSnapshot::Trial& one : in.trials()) {
    MEAD_RETURN_IF_ERROR(DecodeTrial(one, state.trials[one.id()]));
  }
  for (const JournalSnapshot::Request& one : in.requests()) {
    state.requests[one.request_id()] = one.sweep_id();
  }
  return state;
}

}  // namespace mead::store
