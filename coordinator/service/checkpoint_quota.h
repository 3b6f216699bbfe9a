// Holds the checkpoints of all trials to --checkpoint-quota.
//
// Thread: not for the core thread: it may walk over all trials.
#pragma once

#include "coordinator/service/context.h"

namespace mead::service {

// Lets go of what OverQuota says, and removes the files once that is durable; logs what it
// did, or that what must stay takes more than the quota. No quota: does nothing.
void KeepQuota(ServiceContext& context);

}  // namespace mead::service
