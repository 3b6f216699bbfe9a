// One rank's part in one attempt of a trial, from Prepare to its end.
#pragma once

#include "mead/v1/trainer.pb.h"
#include "worker/trainer/agent_link.h"

namespace mead::trainer {

// Prepares, reports ready, waits for Go, trains and evaluates every epoch, and
// says how it ended. Every failure comes back as a MemberExited with its kind;
// after one the process is not fit for another trial.
// Thread: the train thread; blocks for the whole trial.
v1::MemberExited RunTrial(const v1::Prepare& prepare, AgentLink& link);

}  // namespace mead::trainer
