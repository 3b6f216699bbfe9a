// What a user reads about near-duplicates in a data set.
#pragma once

#include <string>

#include "client/session.h"
#include "mead/v1/dataset.pb.h"

namespace mead::client {

// Warns, with the remedy, of images on both sides of a split and of equal files in two classes.
// Names are shown as far as `dataset` has them.
void WarnOfLeakage(Session& session, const mead::v1::Dataset& dataset);

// One line of `mead dataset describe`; empty for data sets from before the leakage guard.
std::string LeakageLine(const mead::v1::Dataset& dataset);

// The groups, those that straddle the split first, then the largest; nothing if there are none.
void PrintNearDuplicates(Session& session, const mead::v1::Dataset& dataset);

}  // namespace mead::client
