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
void RunSchedules(Faults kind, uint64_t schedules) {
  const bool one = std::getenv("MEAD_SIM_SEED") != nullptr;
  const uint64_t first = FromEnvironment(one ? "MEAD_SIM_SEED" : "MEAD_SIM_FIRST", 1);
  const uint64_t count = one ? 1 : FromEnvironment("MEAD_SIM_SCHEDULES", schedules);
  size_t events = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Simulation simulation(seed, kind, /*trace=*/one);
    const std::string failure = simulation.Run();
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    ASSERT_EQ(failure, "") << "see what happened with: MEAD_SIM_SEED=" << seed
                           << " build/release/tests/simulation_test --gtest_filter="
                           << test->test_suite_name() << "." << test->name();
    events += simulation.events();
  }
  std::printf("%llu schedules, %zu events\n", static_cast<unsigned long long>(count), events);
}

TEST(Simulation, NoScheduleOfFaultsBreaksAnInvariant) { RunSchedules(Faults::kAll, 3000); }

TEST(Simulation, NoTrialNoticesThatTheCoordinatorIsKilled) {
  RunSchedules(Faults::kCoordinatorOnly, 1000);
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation first(seed, Faults::kAll, false), second(seed, Faults::kAll, false);
    EXPECT_EQ(first.Run(), second.Run());
    EXPECT_EQ(first.StateText(), second.StateText());
  }
}

}  // namespace
}  // namespace mead::core
