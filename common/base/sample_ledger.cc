#include "common/base/sample_ledger.h"

#include <array>
#include <charconv>

#include "common/base/check.h"

namespace mead {
namespace {

// Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t Fingerprint(uint64_t step, uint64_t sample, uint64_t key) {
  return Mix(Mix(step + key) + sample * 0x9e3779b97f4a7c15);
}

std::string Steps(uint64_t begin, uint64_t end) {
  return "steps " + std::to_string(begin) + " to " + std::to_string(end);
}

std::string Hex(uint64_t value) {
  std::array<char, 16> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return {digits.data(), end};
}

// Takes a number and what follows it off the text; false if there is none.
template <typename T>
bool Take(std::string_view& text, T& value, int base, char after) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (after == '\0') return true;
  if (text.empty() || text.front() != after) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

void SampleTally::Feed(uint64_t step, std::span<const uint64_t> samples) {
  samples_ += samples.size();
  for (const uint64_t sample : samples) {
    sum_a_ += Fingerprint(step, sample, 0x6d656164);
    sum_b_ += Fingerprint(step, sample, 0x6c656467);
  }
}

std::vector<int64_t> SampleTally::Parts() const {
  const auto low = [](uint64_t sum) { return static_cast<int64_t>(sum & 0xffffffff); };
  const auto high = [](uint64_t sum) { return static_cast<int64_t>(sum >> 32); };
  return {static_cast<int64_t>(samples_), low(sum_a_), high(sum_a_), low(sum_b_), high(sum_b_)};
}

LedgerEntry SampleTally::FromParts(std::span<const int64_t> sums, int attempt, uint64_t begin,
                                   uint64_t end) {
  MEAD_CHECK(sums.size() == 5, "the parts of a tally are five");
  const auto join = [&](size_t low) {
    return static_cast<uint64_t>(sums[low]) + (static_cast<uint64_t>(sums[low + 1]) << 32);
  };
  return {.attempt = attempt,
          .begin = begin,
          .end = end,
          .samples = static_cast<uint64_t>(sums[0]),
          .sum_a = join(1),
          .sum_b = join(3)};
}

std::string CheckLedger(const EpochPlan& plan, std::span<const LedgerEntry> ledger,
                        uint64_t steps) {
  if (steps > plan.steps()) {
    return "it tells of " + std::to_string(steps) + " steps, and the epoch has " +
           std::to_string(plan.steps());
  }
  uint64_t done = 0;
  for (const LedgerEntry& entry : ledger) {
    if (entry.begin != done || entry.end <= entry.begin || entry.end > steps) {
      return "attempt " + std::to_string(entry.attempt) + " trained " +
             Steps(entry.begin, entry.end) + ", where " + Steps(done, steps) + " were to be done";
    }
    SampleTally expected;
    for (uint64_t step = entry.begin; step < entry.end; ++step) {
      expected.Feed(step, plan.Batch(step));
    }
    const LedgerEntry planned =
        SampleTally::FromParts(expected.Parts(), entry.attempt, entry.begin, entry.end);
    if (entry.samples != planned.samples) {
      return "attempt " + std::to_string(entry.attempt) + " fed " + std::to_string(entry.samples) +
             " pictures to " + Steps(entry.begin, entry.end) + ", which have " +
             std::to_string(planned.samples);
    }
    if (entry != planned) {
      return "attempt " + std::to_string(entry.attempt) + " fed other pictures to " +
             Steps(entry.begin, entry.end) +
             " than the plan has: one was left out and another "
             "used twice, or in another step";
    }
    done = entry.end;
  }
  if (done != steps) return Steps(done, steps) + " are in no entry";
  return "";
}

std::string LedgerText(std::span<const LedgerEntry> ledger) {
  std::string text;
  for (const LedgerEntry& entry : ledger) {
    if (!text.empty()) text += ';';
    text += std::to_string(entry.attempt) + ":" + std::to_string(entry.begin) + ":" +
            std::to_string(entry.end) + ":" + std::to_string(entry.samples) + ":" +
            Hex(entry.sum_a) + ":" + Hex(entry.sum_b);
  }
  return text;
}

std::optional<std::vector<LedgerEntry>> LedgerFromText(std::string_view text) {
  std::vector<LedgerEntry> ledger;
  while (!text.empty()) {
    LedgerEntry entry;
    if (!Take(text, entry.attempt, 10, ':') || !Take(text, entry.begin, 10, ':') ||
        !Take(text, entry.end, 10, ':') || !Take(text, entry.samples, 10, ':') ||
        !Take(text, entry.sum_a, 16, ':') || !Take(text, entry.sum_b, 16, '\0')) {
      return std::nullopt;
    }
    ledger.push_back(entry);
    if (text.empty()) break;
    if (text.front() != ';' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return ledger;
}

}  // namespace mead
