// The whole of mead-worker.
#pragma once

namespace mead::agent {

// protocol_version: what it registers with; a coordinator of another refuses it.
// Returns the exit code: 0 after SIGTERM or SIGINT, 1 on a fault of this machine,
// 2 on wrong usage or when the coordinator refuses this worker.
int WorkerMain(int argc, char** argv, int protocol_version);

}  // namespace mead::agent
