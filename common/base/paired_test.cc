#include "common/base/paired_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace mead {
namespace {

// The continued fraction of I_x(a, b); converges fast for x < (a + 1) / (a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMaxTerms = 500;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kMaxTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    fraction *= c * d;
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return fraction;
}

// The regularised incomplete beta function I_x(a, b).
double IncompleteBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(a, b, x) / a;
  return 1 - front * BetaFraction(b, a, 1 - x) / b;
}

// P(|T| >= |t|)
double TwoSided(double t, int degrees) {
  if (std::isinf(t)) return 0;
  return IncompleteBeta(degrees / 2.0, 0.5, degrees / (degrees + t * t));
}

}  // namespace

double StudentCdf(double t, int degrees) {
  MEAD_CHECK(degrees >= 1, "one degree of freedom or more");
  const double tail = TwoSided(t, degrees) / 2;
  return t > 0 ? 1 - tail : tail;
}

double StudentQuantile(double p, int degrees) {
  MEAD_CHECK(p > 0 && p < 1, "a probability between 0 and 1");
  if (p == 0.5) return 0;
  if (p < 0.5) return -StudentQuantile(1 - p, degrees);
  double low = 0, high = 1;
  while (StudentCdf(high, degrees) < p && high < 1e300) high *= 2;
  // Until the doubles between them are used up.
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (StudentCdf(middle, degrees) < p ? low : high) = middle;
  }
}

PairedTest CorrectedPairedTest(std::span<const double> differences, double test_per_train) {
  const auto n = static_cast<double>(differences.size());
  MEAD_CHECK(differences.size() >= 2, "two differences or more");
  PairedTest test;
  for (const double difference : differences) test.difference += difference / n;
  double squares = 0;
  for (const double difference : differences) {
    squares += (difference - test.difference) * (difference - test.difference);
  }
  const int degrees = static_cast<int>(differences.size()) - 1;
  const double error = std::sqrt(squares / degrees * (1 / n + test_per_train));
  const double reach = error * StudentQuantile(0.975, degrees);
  test.low = test.difference - reach;
  test.high = test.difference + reach;
  if (test.difference == 0) return test;
  test.t = error > 0 ? test.difference / error
                     : std::copysign(std::numeric_limits<double>::infinity(), test.difference);
  test.p = TwoSided(test.t, degrees);
  return test;
}

}  // namespace mead
