#include "coordinator/core/search.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "coordinator/core/folds.h"

namespace mead::core {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;  // clang 14 (clang-tidy) needs it said

// Steps of a float range, its last point included in spite of rounding:
// [0, 0.3] by 0.1 has four.
int64_t FloatPoints(const UniformRange& range) {
  const double steps = (range.high - range.low) / range.step;
  return static_cast<int64_t>(std::floor(steps * (1 + 1e-12) + 1e-9)) + 1;
}

int64_t IntPoints(const IntRange& range) {
  // Unsigned: the distance between two int64 may not fit into one.
  const uint64_t distance = static_cast<uint64_t>(range.high) - static_cast<uint64_t>(range.low);
  const uint64_t points = distance / static_cast<uint64_t>(range.step);
  return points < INT64_MAX ? static_cast<int64_t>(points) + 1 : INT64_MAX;
}

double FloatPoint(const UniformRange& range, int64_t index) {
  return std::min(range.high, range.low + static_cast<double>(index) * range.step);
}

int64_t IntPoint(const IntRange& range, int64_t index) {
  return static_cast<int64_t>(static_cast<uint64_t>(range.low) +
                              static_cast<uint64_t>(index) * static_cast<uint64_t>(range.step));
}

// Which point of a dimension, counted from 0; the dimension must have points.
ParamValue PointOf(const Dimension& dimension, int64_t index) {
  return std::visit(
      Overloaded{
          [&](const UniformRange& r) -> ParamValue { return FloatPoint(r, index); },
          [&](const LogUniformRange& r) -> ParamValue { return r.low; },
          [&](const IntRange& r) -> ParamValue { return IntPoint(r, index); },
          [&](const Choice& c) -> ParamValue { return c.values[static_cast<size_t>(index)]; }},
      dimension.range);
}

// --- grid: the last dimension turns fastest, as nested loops written in the
// --- order of the file would.

int64_t TotalGrid(const SweepSpec& spec) {
  int64_t total = 1;
  for (const Dimension& dimension : spec.space) {
    const int64_t points = GridPoints(dimension);
    if (points == 0) return 0;
    total = total > INT64_MAX / points ? INT64_MAX : total * points;
  }
  return spec.trials > 0 ? std::min<int64_t>(total, spec.trials) : total;
}

std::vector<Param> ProposeGrid(const SweepSpec& spec, int index) {
  std::vector<Param> params(spec.space.size());
  int64_t rest = index;
  for (size_t i = spec.space.size(); i-- > 0;) {
    const int64_t points = GridPoints(spec.space[i]);
    params[i] = {spec.space[i].path, PointOf(spec.space[i], rest % points)};
    rest /= points;
  }
  return params;
}

// --- random: every value has a stream of its own, keyed by the trial's index and
// --- the dimension's place, so no draw depends on another.

int64_t TotalRandom(const SweepSpec& spec) { return spec.trials; }

ParamValue DrawFrom(const Dimension& dimension, Rng& rng) {
  if (const auto* range = std::get_if<UniformRange>(&dimension.range); range && range->step == 0) {
    return rng.Uniform(range->low, range->high);
  }
  if (const auto* range = std::get_if<LogUniformRange>(&dimension.range)) {
    const double value = std::exp(rng.Uniform(std::log(range->low), std::log(range->high)));
    return std::clamp(value, range->low, range->high);  // rounding
  }
  return PointOf(dimension,
                 static_cast<int64_t>(rng.Below(static_cast<uint64_t>(GridPoints(dimension)))));
}

std::vector<Param> ProposeRandom(const SweepSpec& spec, int index) {
  std::vector<Param> params;
  for (size_t i = 0; i < spec.space.size(); ++i) {
    Rng rng = Rng::ForKey(spec.search_seed, static_cast<uint64_t>(index), i);
    params.push_back({spec.space[i].path, DrawFrom(spec.space[i], rng)});
  }
  return params;
}

// The shell refuses such dimensions; an old journal must not end the process.
bool IsWellFormed(const Dimension& dimension) {
  return std::visit(
      Overloaded{[](const UniformRange& r) { return r.low <= r.high && r.step >= 0; },
                 [](const LogUniformRange& r) { return 0 < r.low && r.low <= r.high; },
                 [](const IntRange& r) { return r.low <= r.high && r.step > 0; },
                 [](const Choice& c) { return !c.values.empty(); }},
      dimension.range);
}

// A search method as plain data; another one is another row.
struct Searcher {
  SearchMethod method;
  int64_t (*total)(const SweepSpec&);
  std::vector<Param> (*propose)(const SweepSpec&, int index);
};
constexpr Searcher kSearchers[] = {
    {SearchMethod::kGrid, TotalGrid, ProposeGrid},
    {SearchMethod::kRandom, TotalRandom, ProposeRandom},
};

const Searcher& SearcherOf(const SweepSpec& spec) {
  const auto* searcher = std::ranges::find(kSearchers, spec.method, &Searcher::method);
  MEAD_CHECK(searcher != std::end(kSearchers), "every method has a searcher");
  return *searcher;
}

}  // namespace

int64_t GridPoints(const Dimension& dimension) {
  return std::visit(
      Overloaded{[](const UniformRange& r) { return r.step > 0 ? FloatPoints(r) : int64_t{0}; },
                 [](const LogUniformRange&) { return int64_t{0}; },
                 [](const IntRange& r) { return IntPoints(r); },
                 [](const Choice& c) { return static_cast<int64_t>(c.values.size()); }},
      dimension.range);
}

int TotalConfigurations(const SweepSpec& spec) {
  if (!std::ranges::all_of(spec.space, IsWellFormed)) return 0;
  const int most = kMaxTrials / FoldsOf(spec);
  return static_cast<int>(std::clamp<int64_t>(SearcherOf(spec).total(spec), 0, most));
}

std::vector<std::vector<Param>> Propose(const SweepSpec& spec, int first_index, int count) {
  MEAD_CHECK(first_index >= 0 && first_index + count <= TotalConfigurations(spec),
             "no such configuration");
  std::vector<std::vector<Param>> proposals;
  proposals.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    proposals.push_back(SearcherOf(spec).propose(spec, first_index + i));
  }
  return proposals;
}

}  // namespace mead::core
