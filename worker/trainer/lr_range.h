// A trial that is a learning-rate range test: its steps, and what is said of them.
//
// Thread: the train thread.
#pragma once

#include <functional>
#include <string>

#include "common/base/range_test.h"
#include "mead/v1/trainer.pb.h"
#include "worker/train/session.h"

namespace mead::trainer {

// Absent fields get the defaults that train_config.proto states.
RangeTestOptions ToRangeTestOptions(const v1::LrRange& range);

// Steps until the test has ended. Each is waited for, so that all ranks of a gang, which see the
// same figures, end at the same one. begin_step: has the session begin the next; after_step: told
// its figures, unless it was the one that diverged.
// Errors: TrainError of the session but kDiverged, which is an end like any other.
RangeTest RunRangeTest(
    train::TrainingSession& session, const RangeTestOptions& options,
    const std::function<void()>& begin_step,
    const std::function<void(const RangeTest&, const train::StepResult&)>& after_step);

v1::AttachRequest RangeTestReport(const RangeTest& test);

// "the smoothed loss rose above 4 times its smallest at step 83 of 100, learning rate 2.1"
std::string RangeTestWords(const RangeTest& test);

}  // namespace mead::trainer
