#include "coordinator/service/session_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/service/command_messages.h"

namespace mead::service {
namespace {

void FenceLink(WorkerLink& link, const std::string& reason) {
  v1::SessionResponse fenced;
  fenced.mutable_fenced()->set_reason(reason);
  link.Send(std::move(fenced));
  link.End(absl::AbortedError(reason));
}

}  // namespace

void SessionTable::Attach(const std::string& worker_id, std::shared_ptr<WorkerLink> link) {
  absl::MutexLock lock(&mu_);
  entries_.push_back({worker_id, 0, std::move(link), {}});
}

void SessionTable::Bind(const core::WorkerRef& worker, const std::shared_ptr<WorkerLink>& link,
                        v1::SessionResponse registered) {
  std::vector<std::shared_ptr<WorkerLink>> replaced;
  {
    absl::MutexLock lock(&mu_);
    // Sends stay under the lock, so that a command of the core thread cannot
    // slip in before `registered`; Send() only queues.
    for (Entry& entry : entries_) {
      if (entry.worker_id != worker.worker_id) continue;
      if (entry.link == link) {
        entry.incarnation = worker.incarnation;
        link->Send(std::move(registered));
        for (Entry::Waiting& waiting : entry.waiting) {
          if (waiting.incarnation == worker.incarnation) link->Send(std::move(waiting.message));
        }
        entry.waiting.clear();
      } else if (entry.incarnation != 0) {
        replaced.push_back(entry.link);
      }
    }
    std::erase_if(entries_, [&replaced](const Entry& entry) {
      return std::find(replaced.begin(), replaced.end(), entry.link) != replaced.end();
    });
  }
  for (const auto& old : replaced) {
    FenceLink(*old, absl::StrCat("a newer connection has registered as worker ",
                                 worker.worker_id));
  }
}

void SessionTable::Detach(const WorkerLink& link) {
  absl::MutexLock lock(&mu_);
  std::erase_if(entries_, [&link](const Entry& entry) { return entry.link.get() == &link; });
}

void SessionTable::Deliver(const core::Command& command, const core::ClusterState& state) {
  const absl::StatusOr<v1::SessionResponse> message = MessageFor(command, state);
  if (!message.ok()) {
    Log(LogLevel::kError,
        absl::StrCat("a command was not sent: ", message.status().message()));
    return;
  }
  const core::WorkerRef& worker = WorkerOf(command);
  std::shared_ptr<WorkerLink> fenced;
  {
    absl::MutexLock lock(&mu_);
    for (Entry& entry : entries_) {
      if (entry.worker_id != worker.worker_id) continue;
      if (entry.incarnation == 0) {
        entry.waiting.push_back({worker.incarnation, *message});
      } else if (entry.incarnation == worker.incarnation) {
        if (message->has_fenced()) {
          fenced = entry.link;
        } else {
          entry.link->Send(*message);
        }
      }
    }
    std::erase_if(entries_,
                  [&fenced](const Entry& entry) { return fenced && entry.link == fenced; });
  }
  if (fenced) FenceLink(*fenced, message->fenced().reason());
}

bool SessionTable::IsConnected(const core::WorkerRef& worker) const {
  absl::MutexLock lock(&mu_);
  return std::any_of(entries_.begin(), entries_.end(), [&worker](const Entry& entry) {
    return entry.worker_id == worker.worker_id && entry.incarnation == worker.incarnation;
  });
}

void SessionTable::EndAll(const absl::Status& status) {
  std::vector<Entry> ended;
  {
    absl::MutexLock lock(&mu_);
    ended.swap(entries_);
  }
  for (const Entry& entry : ended) entry.link->End(status);
}

}  // namespace mead::service
