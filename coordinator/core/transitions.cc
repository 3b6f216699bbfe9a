#include "coordinator/core/transitions.h"

#include <algorithm>

#include "common/base/check.h"

namespace mead::core {
namespace {

using enum TrialState;
constexpr Transition<TrialState> kTrialTable[] = {
    {kQueued, kStarting, "slots for every rank are reserved"},
    {kStarting, kRunning, "every rank is ready"},
    {kRunning, kSucceeded, "every rank has ended well"},
    {kStarting, kStopping, "stop, start timeout, a rank failed or was lost"},
    {kRunning, kStopping, "stop, a rank failed, was preempted or lost"},
    {kStopping, kQueued, "every rank is gone, restarts are left or none is needed"},
    {kStopping, kFailed, "every rank is gone, no restart is left"},
    {kStopping, kStopped, "every rank is gone, a stop was asked for"},
    {kQueued, kStopped, "stop"},
};

constexpr Transition<SweepState> kSweepTable[] = {
    {SweepState::kRunning, SweepState::kSucceeded, "every trial has ended, one or more well"},
    {SweepState::kRunning, SweepState::kFailed, "every trial has ended, none well"},
    {SweepState::kRunning, SweepState::kStopping, "stop"},
    {SweepState::kStopping, SweepState::kStopped, "every trial has ended"},
};

constexpr Transition<SlotState> kSlotTable[] = {
    {SlotState::kIdle, SlotState::kReserved, "assigned to a rank"},
    {SlotState::kReserved, SlotState::kBusy, "its gang starts"},
    {SlotState::kReserved, SlotState::kDraining, "its attempt is being ended"},
    {SlotState::kBusy, SlotState::kDraining, "its attempt is being ended"},
    {SlotState::kReserved, SlotState::kIdle, "the process has ended"},
    {SlotState::kBusy, SlotState::kIdle, "the process has ended"},
    {SlotState::kDraining, SlotState::kIdle, "the process has ended"},
    {SlotState::kIdle, SlotState::kDraining,
     "its worker came back with a process of an old attempt"},
    {SlotState::kIdle, SlotState::kLost, "its worker is lost"},
    {SlotState::kReserved, SlotState::kLost, "its worker is lost"},
    {SlotState::kBusy, SlotState::kLost, "its worker is lost"},
    {SlotState::kDraining, SlotState::kLost, "its worker is lost"},
};

template <class State>
void CheckedMove(State& state, State to, std::span<const Transition<State>> table) {
  MEAD_CHECK(std::ranges::any_of(
                 table, [&](const auto& row) { return row.from == state && row.to == to; }),
             "not in the transition table");
  state = to;
}

template <class State>
std::string Diagram(const char* title, State first, std::span<const Transition<State>> table) {
  std::string text = std::string("```mermaid\n---\ntitle: ") + title + "\n---\nstateDiagram-v2\n";
  text += std::string("    [*] --> ") + Name(first) + "\n";
  for (const auto& row : table) {
    text += std::string("    ") + Name(row.from) + " --> " + Name(row.to) + ": " + row.cause + "\n";
  }
  // A state that nothing leaves is an end.
  for (size_t i = 0; i < table.size(); ++i) {
    const State to = table[i].to;
    const bool left = std::ranges::any_of(table, [&](const auto& row) { return row.from == to; });
    const bool seen =
        std::ranges::any_of(table.first(i), [&](const auto& row) { return row.to == to; });
    if (!left && !seen) text += std::string("    ") + Name(to) + " --> [*]\n";
  }
  return text + "```\n";
}

}  // namespace

const std::span<const Transition<TrialState>> kTrialTransitions = kTrialTable;
const std::span<const Transition<SweepState>> kSweepTransitions = kSweepTable;
const std::span<const Transition<SlotState>> kSlotTransitions = kSlotTable;

const char* Name(TrialState state) {
  switch (state) {
    case kQueued:
      return "QUEUED";
    case kStarting:
      return "STARTING";
    case kRunning:
      return "RUNNING";
    case kStopping:
      return "STOPPING";
    case kSucceeded:
      return "SUCCEEDED";
    case kFailed:
      return "FAILED";
    case kStopped:
      return "STOPPED";
  }
  return "?";
}

const char* Name(SweepState state) {
  switch (state) {
    case SweepState::kRunning:
      return "RUNNING";
    case SweepState::kStopping:
      return "STOPPING";
    case SweepState::kSucceeded:
      return "SUCCEEDED";
    case SweepState::kFailed:
      return "FAILED";
    case SweepState::kStopped:
      return "STOPPED";
  }
  return "?";
}

const char* Name(SlotState state) {
  switch (state) {
    case SlotState::kIdle:
      return "IDLE";
    case SlotState::kReserved:
      return "RESERVED";
    case SlotState::kBusy:
      return "BUSY";
    case SlotState::kDraining:
      return "DRAINING";
    case SlotState::kLost:
      return "LOST";
  }
  return "?";
}

bool HasEnded(TrialState state) {
  return state == kSucceeded || state == kFailed || state == kStopped;
}

bool HasEnded(SweepState state) {
  return state == SweepState::kSucceeded || state == SweepState::kFailed ||
         state == SweepState::kStopped;
}

void Move(Trial& trial, TrialState to) { CheckedMove(trial.state, to, kTrialTransitions); }
void Move(Sweep& sweep, SweepState to) { CheckedMove(sweep.state, to, kSweepTransitions); }
void Move(Slot& slot, SlotState to) {
  CheckedMove(slot.state, to, kSlotTransitions);
  if (to == SlotState::kIdle || to == SlotState::kLost) {
    slot.trial = {};
    slot.rank = 0;
  }
}

std::string TransitionDiagram() {
  return Diagram("Trial", kQueued, kTrialTransitions) + "\n" +
         Diagram("Sweep", SweepState::kRunning, kSweepTransitions) + "\n" +
         Diagram("Slot", SlotState::kIdle, kSlotTransitions);
}

}  // namespace mead::core
