// A pickle, and the state_dict in it.
#include "worker/train/state/pickle.h"

#include <string>

#include "tests/support/memory_source.h"
#include "worker/train/errors.h"
#include "worker/train/state/torch_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using mead::train::ReadPickle;
  const mead::testing::MemorySource source({reinterpret_cast<const char*>(data), bytes});
  try {
    mead::train::ReadTorchState(ReadPickle(source, 0, source.bytes(), mead::train::TorchGlobals()),
                                source.path());
  } catch (const mead::train::TrainError&) {
    // What most input gives.
  }
  return 0;
}
