// A whole control plane in one thread: the real Step(), with modelled agents,
// trainers and network, on a virtual clock.
//
// Everything that is not Step() is decided by random numbers from one seed, so a
// run that goes wrong is repeated exactly by its seed.
//
// The network: a worker has one stream to the coordinator at a time. A stream
// keeps its order and loses nothing until it is cut; what is under way then is
// lost, and the two ends notice it at different times. Reports may arrive twice,
// and long after later ones.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "coordinator/core/state.h"

namespace mead::core {

inline constexpr TimeMicros kMillisecond = 1'000;
inline constexpr TimeMicros kSecond = 1'000'000;
inline constexpr TimeMicros kLease = 4 * kSecond;

class AgentModel;
class CoordinatorModel;

// A connection between an agent's process and a coordinator's process.
struct Stream {
  int agent = 0;
  bool cut = false;               // nothing arrives any more, in either direction
  bool agent_open = true;         // the agent has not noticed yet
  bool coordinator_open = false;  // registered, and the coordinator has not noticed
  uint64_t incarnation = 0;
  std::string instance_id;
  TimeMicros last_up = 0;  // when what was sent last arrives
  TimeMicros last_down = 0;
};
using StreamPtr = std::shared_ptr<Stream>;

// What the ranks of an attempt know of each other: the collective.
struct Collective {
  int started = 0;
  bool broken = false;  // a rank has died
  bool yields = false;  // a rank was asked to end, and the others have heard
};

enum class Faults {
  kAll,
  // Only the coordinator is killed, again and again. No trial may notice.
  kCoordinatorOnly,
};

class Simulation {
 public:
  // trace: print what happens to standard error.
  Simulation(uint64_t seed, Faults kind, bool trace);
  ~Simulation();

  // Runs to the end. The first thing that went wrong, or empty.
  std::string Run();

  // Events that Step() has seen in all.
  size_t events() const;
  // The final state, bit for bit.
  std::string StateText() const;

  // --- for the models
  Rng& rng() { return rng_; }
  TimeMicros now() const { return now_; }
  bool faults() const { return faults_; }
  // True with this probability, and only while there are faults.
  bool Fault(double probability) { return faults_ && rng_.NextDouble() < probability; }
  // For faults of agents and trainers.
  bool AgentFault(double probability) { return kind_ == Faults::kAll && Fault(probability); }
  TimeMicros Between(TimeMicros low, TimeMicros high);
  void After(TimeMicros delay, std::function<void()> action);
  void Fail(const std::string& what);
  template <class... Parts>
  void Trace(const Parts&... parts) {
    if (trace_) Print((std::string() + ... + parts));
  }

  // In the stream's order, after a delay, unless it is cut meanwhile.
  void SendUp(const StreamPtr& stream, std::function<void()> deliver);
  void SendDown(const StreamPtr& stream, std::function<void()> deliver);
  // Cuts it; each end notices in its own time.
  void Cut(const StreamPtr& stream);

  Collective& collective(const TrialRef& trial) {
    return collectives_[{trial.trial_id, trial.attempt}];
  }

  CoordinatorModel& coordinator() { return *coordinator_; }
  AgentModel& agent(int index) { return *agents_[static_cast<size_t>(index)]; }
  const std::vector<std::unique_ptr<AgentModel>>& agents() const { return agents_; }

 private:
  struct Action {
    TimeMicros at;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Action& other) const {
      return at != other.at ? at > other.at : order > other.order;  // earliest on top
    }
  };

  void Print(const std::string& line) const;
  void MakeCluster();
  void ScheduleFaults();
  void RunUntil(TimeMicros end, const std::function<bool()>& done);
  std::string CheckEnd();

  const Faults kind_;
  const bool trace_;
  Rng rng_;
  TimeMicros now_ = 0;
  bool faults_ = false;
  uint64_t next_order_ = 0;
  std::priority_queue<Action> actions_;
  std::string failure_;
  std::map<std::pair<std::string, int>, Collective> collectives_;
  std::unique_ptr<CoordinatorModel> coordinator_;
  std::vector<std::unique_ptr<AgentModel>> agents_;
};

}  // namespace mead::core
