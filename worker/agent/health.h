// How a probe (Kubernetes' exec probes) asks an agent how it is, without a port:
// the agent's event loop renews a small file, and `mead-worker --probe` reads it.
//
// Live: the loop turned within kHealthLimit. Ready: and its session is open.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace mead::agent {

inline constexpr absl::Duration kHealthPeriod = absl::Seconds(1);
inline constexpr absl::Duration kHealthLimit = absl::Seconds(15);

// Renews DIR/health. A full disk is no reason to be killed, so errors are dropped:
// the file's time is renewed all the same once it exists.
void WriteHealth(const std::filesystem::path& dir, bool session_open);

// Errors: UNAVAILABLE, saying what is wrong.
[[nodiscard]] absl::Status ProbeHealth(const std::filesystem::path& dir, bool want_ready,
                                       absl::Time now);

}  // namespace mead::agent
