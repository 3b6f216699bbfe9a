#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace mead::core {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// One schedule of faults per seed. MEAD_SIM_SEED=N runs only that one and prints
// what happens; MEAD_SIM_SCHEDULES=N runs so many, from MEAD_SIM_FIRST on.
TEST(Simulation, NoScheduleOfFaultsBreaksAnInvariant) {
  const bool one = std::getenv("MEAD_SIM_SEED") != nullptr;
  const uint64_t first =
      one ? FromEnvironment("MEAD_SIM_SEED", 0) : FromEnvironment("MEAD_SIM_FIRST", 1);
  const uint64_t count = one ? 1 : FromEnvironment("MEAD_SIM_SCHEDULES", 3000);
  size_t events = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Simulation simulation(seed, /*trace=*/one);
    const std::string failure = simulation.Run();
    ASSERT_EQ(failure, "") << "see what happened with: MEAD_SIM_SEED=" << seed
                           << " build/release/tests/simulation_test";
    events += simulation.events();
  }
  std::printf("%llu schedules, %zu events\n", static_cast<unsigned long long>(count), events);
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation first(seed, false), second(seed, false);
    EXPECT_EQ(first.Run(), second.Run());
    EXPECT_EQ(first.StateText(), second.StateText());
  }
}

}  // namespace
}  // namespace mead::core
