// What this build is, and what it can talk to.
#pragma once

namespace mead {

inline constexpr char kVersion[] = "0.1.0";

// Raised when coordinator and workers of two versions can no longer work
// together; a worker with another number is turned away when it registers.
inline constexpr int kProtocolVersion = 2;

}  // namespace mead
