// A mead-worker of the next protocol, as a rolling upgrade would bring one.
#include "common/version.h"
#include "worker/agent/worker_main.h"

int main(int argc, char** argv) {
  return mead::agent::WorkerMain(argc, argv, mead::kProtocolVersion + 1);
}
