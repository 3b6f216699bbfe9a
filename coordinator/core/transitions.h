// Which state may follow which, as literal tables. A change of state that is not
// in its table is a bug and ends the process.
//
// TransitionDiagram() prints the tables; ARCHITECTURE.md holds its output, and a
// test compares the two.
#pragma once

#include <span>
#include <string>

#include "coordinator/core/state.h"

namespace mead::core {

template <class State>
struct Transition {
  State from;
  State to;
  const char* cause;
};

extern const std::span<const Transition<TrialState>> kTrialTransitions;
extern const std::span<const Transition<SweepState>> kSweepTransitions;
extern const std::span<const Transition<SlotState>> kSlotTransitions;

const char* Name(TrialState state);
const char* Name(SweepState state);
const char* Name(SlotState state);

bool HasEnded(TrialState state);
bool HasEnded(SweepState state);

// The only places where a state changes.
void Move(Trial& trial, TrialState to);
void Move(Sweep& sweep, SweepState to);
void Move(Slot& slot, SlotState to);

// Mermaid state diagrams (trials, sweeps, slots), as Markdown.
std::string TransitionDiagram();

}  // namespace mead::core
