// A cluster for tests: sends events to Step(), keeps the journal, answers for
// members in the tests' own words.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/core/debug_string.h"
#include "coordinator/core/step.h"

namespace mead::core {

inline constexpr TimeMicros kSecond = 1'000'000;

SweepSpec SpecOf(int trials, int ranks);

class Cluster {
 public:
  Cluster();

  // Runs an event now. The commands that it gave are the result, and are kept in
  // `commands` until the next event.
  const std::vector<Command>& Do(decltype(Event::body) body);
  void Advance(TimeMicros by) { now += by; }
  // Moves time to the next deadline and passes it.
  void PassNextDeadline();

  WorkerRef Register(const std::string& id, int slots, const std::string& instance = "a",
                     Accelerator accelerator = Accelerator::kCpu,
                     std::vector<HeldMember> held = {});
  void Submit(const std::string& id, SweepSpec spec);

  // For the members of the trial's current attempt.
  void Ready(const std::string& trial, int rank);
  void AllReady(const std::string& trial);
  void Report(const std::string& trial, int epoch, double objective);
  // step: done of the epoch after that.
  void Save(const std::string& trial, int epoch, int64_t step = 0);
  void Exit(const std::string& trial, int rank);
  void Fail(const std::string& trial, int rank, FailureKind kind, const std::string& message);
  // Gets ready, reports one epoch, and ends well.
  void RunToSuccess(const std::string& trial, double objective);
  // The member's process has ended after an Abort.
  void ExitAborted(const std::string& trial, int rank);

  const Trial& trial(const std::string& id) const { return state.trials.at(id); }
  const Sweep& sweep(const std::string& id) const { return state.sweeps.at(id); }
  const Slot& slot(const std::string& worker, int slot) const;
  TrialRef Ref(const std::string& id) const { return {id, trial(id).attempt}; }

  // Commands of the last event of one kind.
  template <class T>
  std::vector<T> Of() const {
    std::vector<T> found;
    for (const Command& command : commands) {
      if (const T* one = std::get_if<T>(&command)) found.push_back(*one);
    }
    return found;
  }

  ClusterState state;
  TimeMicros now = 100 * kSecond;
  std::vector<Event> journal;
  std::vector<Command> commands;
  // Events, commands and changes of state as text.
  std::string transcript;
};

}  // namespace mead::core
