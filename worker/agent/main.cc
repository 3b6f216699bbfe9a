// mead-worker: the agent of one node.
#include "common/version.h"
#include "worker/agent/worker_main.h"

int main(int argc, char** argv) {
  return mead::agent::WorkerMain(argc, argv, mead::kProtocolVersion);
}
