// Of which epoch a trial's predictions or checkpoint are wanted: the coordinator keeps two.
#pragma once

namespace mead::client {

enum class WhichEpoch { kBest, kLast };

}  // namespace mead::client
