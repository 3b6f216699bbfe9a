#include "client/progress.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/format.h"

namespace mead::client {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);

}  // namespace

ProgressLine::ProgressLine(const Terminal& terminal, std::function<absl::Time()> now)
    : terminal_(terminal), now_(now ? std::move(now) : [] { return absl::Now(); }) {}

ProgressLine::~ProgressLine() { Finish(); }

std::string ProgressLine::Text(uint64_t done, uint64_t total, Unit unit, uint64_t initial) const {
  const auto amount = [&](uint64_t n) {
    return unit == Unit::kBytes ? HumanBytes(n) : absl::StrCat(n);
  };
  std::string text = absl::StrCat(phase_, "  ", amount(done));
  if (total == 0) return text;
  absl::StrAppend(&text, " of ", amount(total), "  ",
                  static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)),
                  " %");
  const double elapsed = absl::ToDoubleSeconds(now_() - phase_start_);
  const double moved = static_cast<double>(done - std::min(done, initial));
  if (elapsed < 1 || moved <= 0) return text;
  const double rate = moved / elapsed;
  absl::StrAppend(&text, "  ",
                  unit == Unit::kBytes ? HumanBytes(static_cast<uint64_t>(rate))
                                       : absl::StrFormat("%.0f", rate),
                  "/s");
  if (done < total) {
    absl::StrAppend(&text, "  ",
                    HumanDuration(absl::Seconds(static_cast<double>(total - done) / rate)),
                    " left");
  }
  return text;
}

void ProgressLine::Update(const std::string& phase, uint64_t done, uint64_t total, Unit unit,
                          uint64_t initial) {
  const bool begins = phase != phase_;
  if (begins) {
    Finish();
    phase_ = phase;
    phase_start_ = now_();
    last_drawn_ = absl::InfinitePast();
    last_tenth_ = -1;
  }
  const bool ends = total > 0 && done >= total;
  if (terminal_.err_is_tty) {
    if (!ends && now_() - last_drawn_ < kRedraw) return;
    last_drawn_ = now_();
    terminal_.err << "\r\033[K" << Text(done, total, unit, initial) << std::flush;
    open_ = true;
    return;
  }
  const int tenth = total == 0 ? 0 : static_cast<int>(10 * done / total);
  if (tenth == last_tenth_) return;
  last_tenth_ = tenth;
  terminal_.err << Text(done, total, unit, initial) << "\n" << std::flush;
}

void ProgressLine::Finish() {
  if (open_) terminal_.err << "\n" << std::flush;
  open_ = false;
  phase_.clear();
}

}  // namespace mead::client
