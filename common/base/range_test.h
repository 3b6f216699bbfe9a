// The learning-rate range test: the rate grows from step to step while the loss is watched.
//
// Units:  loss in nats, the mean over a step's batch; rates as in optimizer.lr.
// Thread: one thread owns a RangeTest.
// Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3;
//         the smoothing and the end are those of fast.ai's LRFinder, whose rate, though, stops one
//         step short of the largest.
#pragma once

#include <cstdint>
#include <vector>

namespace mead {

inline constexpr int kRangeTestSteps = 100;  // where nothing else is said
inline constexpr int kMaxRangeTestSteps = 1000;

// Its curve's names among a trial's metrics; a point's step counts from 1 there.
inline constexpr char kRangeLr[] = "lr_range/lr";
inline constexpr char kRangeLoss[] = "lr_range/loss";
inline constexpr char kRangeSmoothedLoss[] = "lr_range/smoothed_loss";

struct RangeTestOptions {
  double min_lr = 1e-7;
  double max_lr = 10;
  int steps = 0;  // 0: no test
};

// step: from 0; the same factor lies between any two steps, and the last one has max_lr.
double RangeTestRate(const RangeTestOptions& options, int64_t step);

struct RangeTestPoint {
  double lr = 0;
  double loss = 0;
  double smoothed_loss = 0;
  bool operator==(const RangeTestPoint&) const = default;
};

class RangeTest {
 public:
  // Of the loss's moving average, whose beginning is corrected for, as Adam's are.
  static constexpr double kSmoothing = 0.98;
  // A smoothed loss above so many times the smallest ends the test.
  static constexpr double kRise = 4;

  enum class State { kUnderWay, kAllSteps, kRose, kDiverged };

  // options.steps > 0.
  explicit RangeTest(const RangeTestOptions& options) : options_(options) {}

  // The next step's loss, while the test is under way; one that is not finite is Diverged().
  void Add(double loss);
  // The next step's loss or gradient was not finite: there is no point of it.
  void Diverged();

  State state() const { return state_; }
  bool ended() const { return state_ != State::kUnderWay; }
  const RangeTestOptions& options() const { return options_; }
  const std::vector<RangeTestPoint>& points() const { return points_; }

 private:
  const RangeTestOptions options_;
  State state_ = State::kUnderWay;
  double average_ = 0;
  double weight_ = 1;  // of the zero that the average began with
  double best_ = 0;
  std::vector<RangeTestPoint> points_;
};

}  // namespace mead
