// Prometheus' text format of what the coordinator knows now.
#pragma once

#include <string>

#include "coordinator/service/context.h"

namespace mead::web {

// Thread: any. Figures of single trials are given while they run only, so that
// the number of series stays that of the slots.
[[nodiscard]] std::string MetricsText(service::ServiceContext& context);

}  // namespace mead::web
