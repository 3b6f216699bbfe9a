#include "worker/agent/outbox.h"

#include <utility>

#include "absl/time/clock.h"

namespace mead::agent {

uint64_t Outbox::Add(v1::Report report) {
  absl::MutexLock lock(&mutex_);
  return AddLocked(std::move(report));
}

bool Outbox::AddLogs(v1::Report report) {
  const size_t bytes = report.ByteSizeLong();
  absl::MutexLock lock(&mutex_);
  if (log_bytes_ + bytes > options_.max_log_bytes) return false;
  AddLocked(std::move(report));
  return true;
}

uint64_t Outbox::AddLocked(v1::Report report) {
  report.set_sequence(++last_sequence_);
  if (report.has_logs()) log_bytes_ += report.ByteSizeLong();
  kept_.push_back(std::move(report));
  changed_.SignalAll();
  return last_sequence_;
}

void Outbox::AddProgress(v1::Report report) {
  report.set_sequence(0);
  absl::MutexLock lock(&mutex_);
  if (progress_.size() >= options_.max_progress) progress_.pop_front();
  progress_.push_back(std::move(report));
  changed_.SignalAll();
}

std::optional<v1::Report> Outbox::Next(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&mutex_);
  while (!interrupted_ && sent_ >= kept_.size() && progress_.empty()) {
    if (changed_.WaitWithDeadline(&mutex_, deadline)) break;
  }
  if (std::exchange(interrupted_, false)) return std::nullopt;
  // What must arrive goes before what may be lost.
  if (sent_ < kept_.size()) return kept_[sent_++];
  if (progress_.empty()) return std::nullopt;
  v1::Report report = std::move(progress_.front());
  progress_.pop_front();
  return report;
}

void Outbox::Interrupt() {
  absl::MutexLock lock(&mutex_);
  interrupted_ = true;
  changed_.SignalAll();
}

void Outbox::Ack(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  AckLocked(sequence);
}

void Outbox::AckLocked(uint64_t sequence) {
  while (!kept_.empty() && kept_.front().sequence() <= sequence) {
    // Sized again with its sequence, as it was when it was counted.
    if (kept_.front().has_logs()) log_bytes_ -= kept_.front().ByteSizeLong();
    acked_ = kept_.front().sequence();
    kept_.pop_front();
    if (sent_ > 0) --sent_;
  }
  changed_.SignalAll();
}

void Outbox::Rewind(uint64_t acked) {
  absl::MutexLock lock(&mutex_);
  AckLocked(acked);
  sent_ = 0;
  interrupted_ = false;
  // Made before the break, so older than anything worth showing now.
  progress_.clear();
}

bool Outbox::IsAcked(uint64_t sequence) const {
  absl::MutexLock lock(&mutex_);
  return sequence <= acked_;
}

size_t Outbox::unacked() const {
  absl::MutexLock lock(&mutex_);
  return kept_.size();
}

bool Outbox::WaitUntilAcked(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&mutex_);
  while (!kept_.empty()) {
    if (changed_.WaitWithDeadline(&mutex_, deadline)) return kept_.empty();
  }
  return true;
}

}  // namespace mead::agent
