// The parts that events and snapshots share. Internal to the codec.
//
// Every Encode takes its value apart with a structured binding: a member that
// is added to the core's struct does not compile until it is encoded here.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"
#include "google/protobuf/message.h"
#include "mead/v1/journal.pb.h"

namespace mead::store::codec {

std::string Serialize(const google::protobuf::Message& message);
absl::Status Parse(std::string_view bytes, google::protobuf::Message& message);
absl::Status UnknownValue(std::string_view what, int value);

// Pairs of a core value and its number in the journal. Written out, as the
// core's order may change and the journal's numbers never do.
template <class Core, class Wire>
struct EnumTable {
  std::string_view what;
  struct Row {
    Core core;
    Wire wire;
  } rows[8];
  size_t size;

  // Every core value is in its table (the round-trip tests walk them).
  Wire ToWire(Core value) const {
    for (size_t i = 0; i < size; ++i) {
      if (rows[i].core == value) return rows[i].wire;
    }
    return Wire();
  }
  absl::Status ToCore(Wire value, Core& out) const {
    for (size_t i = 0; i < size; ++i) {
      if (rows[i].wire == value) {
        out = rows[i].core;
        return absl::OkStatus();
      }
    }
    return UnknownValue(what, static_cast<int>(value));
  }
};

extern const EnumTable<core::FailureKind, v1::FailureKind> kFailureKinds;
extern const EnumTable<core::Accelerator, v1::JournalAccelerator> kAccelerators;

void Encode(const core::Config& value, v1::JournalConfig& out);
void Encode(const core::WorkerRef& value, v1::JournalWorkerRef& out);
void Encode(const core::TrialRef& value, v1::JournalTrialRef& out);
void Encode(const core::Checkpoint& value, v1::JournalCheckpoint& out);
void Encode(const core::Predictions& value, v1::JournalPredictions& out);
void Encode(const core::Param& value, v1::Param& out);
void Encode(const core::SweepSpec& value, v1::JournalSweepSpec& out);

core::Config Decode(const v1::JournalConfig& in);
core::WorkerRef Decode(const v1::JournalWorkerRef& in);
core::TrialRef Decode(const v1::JournalTrialRef& in);
core::Checkpoint Decode(const v1::JournalCheckpoint& in);
core::Predictions Decode(const v1::JournalPredictions& in);
absl::Status Decode(const v1::Param& in, core::Param& out);
absl::Status Decode(const v1::JournalSweepSpec& in, core::SweepSpec& out);

}  // namespace mead::store::codec
