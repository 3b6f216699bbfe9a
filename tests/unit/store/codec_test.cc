#include "coordinator/store/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <variant>

#include "coordinator/core/step.h"
#include "mead/v1/journal.pb.h"
#include "tests/support/sample_events.h"

namespace mead::store {
namespace {

using ::testing::HasSubstr;

TEST(Codec, EveryKindOfEventComesBackAsItWas) {
  std::set<size_t> kinds;
  for (const core::Event& event : testing::OneOfEachEvent()) {
    kinds.insert(event.body.index());
    const std::string bytes = EncodeEvent(event);
    const absl::StatusOr<core::Event> decoded = DecodeEvent(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, event) << "kind " << event.body.index();
    EXPECT_EQ(EncodeEvent(*decoded), bytes) << "kind " << event.body.index();
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<decltype(core::Event::body)>)
      << "OneOfEachEvent() lacks a kind";
}

TEST(Codec, FloatingPointKeepsItsBits) {
  for (const double value :
       {-0.0, 0.1, 5e-324, 1.7976931348623157e308, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    const core::Event event{1, core::EpochReported{{}, {}, 1, value}};
    const core::Event decoded = DecodeEvent(EncodeEvent(event)).value();
    const double back = std::get<core::EpochReported>(decoded.body).objective;
    EXPECT_EQ(std::memcmp(&back, &value, sizeof(value)), 0) << value;
  }
}

TEST(Codec, EveryStateOfAClustersLifeComesBackAsItWas) {
  core::ClusterState state;
  std::set<core::TrialState> trial_states;
  std::set<core::SweepState> sweep_states;
  std::set<core::SlotState> slot_states;
  for (const core::Event& event : testing::ClusterLife(4)) {
    (void)core::Step(state, event);
    const std::string bytes = EncodeState(state);
    const absl::StatusOr<core::ClusterState> decoded = DecodeState(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ASSERT_EQ(*decoded, state);
    ASSERT_EQ(EncodeState(*decoded), bytes);
    for (const auto& [id, trial] : state.trials) trial_states.insert(trial.state);
    for (const auto& [id, sweep] : state.sweeps) sweep_states.insert(sweep.state);
    for (const auto& [id, worker] : state.workers) {
      for (const core::Slot& slot : worker.slots) slot_states.insert(slot.state);
    }
  }
  EXPECT_EQ(trial_states.size(), 7u) << "ClusterLife() misses a state";
  EXPECT_EQ(slot_states.size(), 5u) << "ClusterLife() misses a state";
  EXPECT_GE(sweep_states.size(), 4u) << "ClusterLife() misses states";
}

TEST(Codec, TheRestOfALifeIsTheSameAfterASnapshot) {
  const std::vector<core::Event> events = testing::ClusterLife(2);
  core::ClusterState whole;
  for (const core::Event& event : events) (void)core::Step(whole, event);
  for (size_t cut = 0; cut <= events.size(); cut += 7) {
    core::ClusterState state;
    for (size_t i = 0; i < cut; ++i) (void)core::Step(state, events[i]);
    core::ClusterState resumed = DecodeState(EncodeState(state)).value();
    for (size_t i = cut; i < events.size(); ++i) {
      (void)core::Step(resumed, DecodeEvent(EncodeEvent(events[i])).value());
    }
    ASSERT_EQ(EncodeState(resumed), EncodeState(whole)) << "cut at " << cut;
  }
}

TEST(Codec, GarbageIsDataLoss) {
  EXPECT_TRUE(absl::IsDataLoss(DecodeEvent("\xff\xff\xff garbage").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeState("\xff\xff\xff garbage").status()));
}

TEST(Codec, WhatOnlyANewerVersionKnowsSaysSo) {
  v1::JournalEvent record;
  record.set_at_micros(1);
  // A kind of event that is not there yet: field 100, an empty message.
  const std::string newer = record.SerializeAsString() + std::string("\xa2\x06\x00", 3);
  const absl::Status unknown_kind = DecodeEvent(newer).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(unknown_kind)) << unknown_kind;
  EXPECT_THAT(std::string(unknown_kind.message()), HasSubstr("start the version that wrote it"));

  v1::JournalSnapshot snapshot;
  snapshot.add_trials()->set_state(static_cast<v1::TrialState>(99));
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeState(snapshot.SerializeAsString()).status()));
}

}  // namespace
}  // namespace mead::store
