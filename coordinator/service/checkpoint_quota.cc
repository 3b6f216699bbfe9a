#include "coordinator/service/checkpoint_quota.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/log.h"
#include "coordinator/service/checkpoint_janitor.h"

namespace mead::service {

void KeepQuota(ServiceContext& context) {
  if (context.checkpoint_quota_bytes == 0) return;
  Excess excess = OverQuota(*context.engine.snapshot(), context.checkpoint_quota_bytes);
  if (excess.left_bytes > context.checkpoint_quota_bytes) {
    Log(LogLevel::kWarning,
        absl::StrCat("checkpoints take ", excess.left_bytes, " bytes, more than the ",
                     context.checkpoint_quota_bytes,
                     " of --checkpoint-quota, and none of them can go: they are trials' best, or "
                     "what running ones go on from"));
  }
  if (excess.digests.empty()) return;
  core::CheckpointsDropped event{excess.digests};
  context.engine.Post(std::move(event), [&context, excess = std::move(excess)](
                                            const absl::Status& status,
                                            const core::ClusterState& state) {
    if (!status.ok()) return;
    // A copy: the engine may be on its way out when the files go.
    auto now = std::make_shared<const core::ClusterState>(state);
    context.io.Run([&artifacts = context.artifacts, excess, now] {
      Log(LogLevel::kInfo,
          absl::StrCat("removing ", excess.digests.size(), " old checkpoints (", excess.freed_bytes,
                       " bytes) for --checkpoint-quota: ", absl::StrJoin(excess.digests, ", ")));
      RemoveUnreferenced(*now, excess.digests, artifacts);
    });
  });
}

}  // namespace mead::service
