#include "coordinator/core/search.h"

#include <cmath>
#include <set>

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::ElementsAre;

SweepSpec Grid(std::vector<Dimension> space, int trials = 0) {
  SweepSpec spec;
  spec.method = SearchMethod::kGrid;
  spec.trials = trials;
  spec.space = std::move(space);
  return spec;
}

SweepSpec Random(std::vector<Dimension> space, int trials, uint64_t seed) {
  SweepSpec spec;
  spec.method = SearchMethod::kRandom;
  spec.trials = trials;
  spec.search_seed = seed;
  spec.space = std::move(space);
  return spec;
}

std::vector<ParamValue> Values(const SweepSpec& spec, size_t dimension) {
  std::vector<ParamValue> values;
  for (const auto& params : Propose(spec, 0, TotalConfigurations(spec))) {
    values.push_back(params[dimension].value);
  }
  return values;
}

TEST(GridSearch, WalksEveryPointTheLastDimensionFastest) {
  const SweepSpec spec =
      Grid({{"model", Choice{{std::string("resnet18"), std::string("resnet50")}}},
            {"batch_size", IntRange{32, 96, 32}}});
  ASSERT_EQ(TotalConfigurations(spec), 6);
  const auto all = Propose(spec, 0, 6);
  EXPECT_THAT(all[0], ElementsAre(Param{"model", std::string("resnet18")},
                                  Param{"batch_size", int64_t{32}}));
  EXPECT_THAT(all[1], ElementsAre(Param{"model", std::string("resnet18")},
                                  Param{"batch_size", int64_t{64}}));
  EXPECT_THAT(all[5], ElementsAre(Param{"model", std::string("resnet50")},
                                  Param{"batch_size", int64_t{96}}));
}

TEST(GridSearch, ReachesTheEndOfAFloatRangeInSpiteOfRounding) {
  EXPECT_THAT(Values(Grid({{"x", UniformRange{0, 0.3, 0.1}}}), 0), ElementsAre(0.0, 0.1, 0.2, 0.3));
  EXPECT_EQ(GridPoints({"x", UniformRange{0, 1, 0.3}}), 4);
  EXPECT_EQ(GridPoints({"x", UniformRange{0, 1, 0}}), 0);
  EXPECT_EQ(GridPoints({"x", IntRange{1, 10, 4}}), 3);
  EXPECT_EQ(GridPoints({"x", IntRange{5, 5, 1}}), 1);
}

TEST(GridSearch, TrialsCutsItOffAndHugeGridsAreBounded) {
  EXPECT_EQ(TotalConfigurations(Grid({{"x", IntRange{1, 10, 1}}}, 4)), 4);
  EXPECT_EQ(TotalConfigurations(Grid({{"x", IntRange{1, 3, 1}}}, 40)), 3);
  EXPECT_EQ(TotalConfigurations(Grid({{"x", IntRange{INT64_MIN, INT64_MAX, 1}},
                                      {"y", IntRange{INT64_MIN, INT64_MAX, 1}}})),
            kMaxTrials);
  EXPECT_EQ(TotalConfigurations(Grid({})), 1);
}

TEST(Search, ASpaceThatCannotBeWalkedMakesNoTrials) {
  EXPECT_EQ(TotalConfigurations(Grid({{"x", LogUniformRange{1e-4, 1e-1}}})), 0);
  EXPECT_EQ(TotalConfigurations(Grid({{"x", Choice{}}})), 0);
  EXPECT_EQ(TotalConfigurations(Random({{"x", Choice{}}}, 3, 1)), 0);
  EXPECT_EQ(TotalConfigurations(Random({{"x", IntRange{1, 0, 1}}}, 3, 1)), 0);
  EXPECT_EQ(TotalConfigurations(Random({{"x", IntRange{0, 1, 0}}}, 3, 1)), 0);
  EXPECT_EQ(TotalConfigurations(Random({{"x", LogUniformRange{0, 1}}}, 3, 1)), 0);
}

TEST(RandomSearch, TheSameSeedGivesTheSameConfigurations) {
  const std::vector<Dimension> space = {{"lr", LogUniformRange{1e-4, 1e-1}},
                                        {"wd", UniformRange{0, 1, 0}}};
  EXPECT_EQ(Propose(Random(space, 20, 7), 0, 20), Propose(Random(space, 20, 7), 0, 20));
  EXPECT_NE(Propose(Random(space, 20, 7), 0, 20), Propose(Random(space, 20, 8), 0, 20));
}

TEST(RandomSearch, AConfigurationDependsOnItsIndexAlone) {
  const std::vector<Dimension> space = {{"lr", LogUniformRange{1e-4, 1e-1}}};
  const auto all = Propose(Random(space, 100, 7), 0, 100);
  EXPECT_EQ(Propose(Random(space, 50, 7), 40, 1)[0], all[40]);
  auto wider = space;
  wider.push_back({"flag", Choice{{true, false}}});
  EXPECT_EQ(Propose(Random(wider, 50, 7), 40, 1)[0][0], all[40][0]);
}

TEST(RandomSearch, StaysInRangeAndOnSteps) {
  const SweepSpec spec = Random({{"lr", LogUniformRange{1e-4, 1e-1}},
                                 {"drop", UniformRange{0.2, 0.8, 0}},
                                 {"step", UniformRange{0, 1, 0.25}},
                                 {"batch", IntRange{32, 128, 32}},
                                 {"name", Choice{{std::string("a"), int64_t{1}, true}}}},
                                2000, 3);
  double log_sum = 0;
  std::set<double> steps;
  std::set<int64_t> batches;
  std::set<size_t> choices;
  for (const auto& params : Propose(spec, 0, 2000)) {
    const double lr = std::get<double>(params[0].value);
    EXPECT_GE(lr, 1e-4);
    EXPECT_LE(lr, 1e-1);
    log_sum += std::log10(lr);
    const double drop = std::get<double>(params[1].value);
    EXPECT_GE(drop, 0.2);
    EXPECT_LT(drop, 0.8);
    steps.insert(std::get<double>(params[2].value));
    batches.insert(std::get<int64_t>(params[3].value));
    choices.insert(params[4].value.index());
  }
  EXPECT_NEAR(log_sum / 2000, -2.5, 0.06);  // uniform in the exponent
  EXPECT_THAT(steps, ElementsAre(0.0, 0.25, 0.5, 0.75, 1.0));
  EXPECT_THAT(batches, ElementsAre(32, 64, 96, 128));
  EXPECT_EQ(choices.size(), 3u);
}

}  // namespace
}  // namespace mead::core
