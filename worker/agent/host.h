// What this machine has, and how it is reached.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/machine.h"

namespace mead::agent {

// The local address that packets to HOST:PORT leave from; 127.0.0.1 when that is
// this machine. Sends nothing.
// Errors: INVALID_ARGUMENT (not HOST:PORT), UNAVAILABLE (the name is not known).
absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port);

// This host's name as a worker's id: [a-z0-9.-]{1,63}.
std::string DefaultWorkerName();

}  // namespace mead::agent
