// Runs a range test on given losses, for comparison with fast.ai's formulas (test_lr_range.py).
// Usage: range_probe MIN_LR MAX_LR STEPS < losses. Prints the points and what they suggest.
#include <iostream>
#include <optional>
#include <string>

#include "common/base/lr_suggestions.h"
#include "common/base/range_test.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  mead::RangeTest test(
      {.min_lr = std::stod(argv[1]), .max_lr = std::stod(argv[2]), .steps = std::stoi(argv[3])});
  for (double loss = 0; !test.ended() && std::cin >> loss;) test.Add(loss);
  std::cout.precision(17);
  for (const mead::RangeTestPoint& point : test.points()) {
    std::cout << "point " << point.lr << ' ' << point.smoothed_loss << '\n';
  }
  std::cout << "rose " << (test.state() == mead::RangeTest::State::kRose) << '\n';
  const mead::LrSuggestions suggestions =
      mead::SuggestLearningRates(test.points(), test.options().steps);
  const auto print = [](const char* name, const std::optional<mead::LrSuggestion>& suggestion) {
    if (suggestion) std::cout << name << ' ' << suggestion->lr << '\n';
  };
  print("valley", suggestions.valley);
  print("steep", suggestions.steep);
  print("minimum", suggestions.minimum_tenth);
}
