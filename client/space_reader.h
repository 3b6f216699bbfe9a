// The `space:` block of a sweep file: what the search varies, in shapes of its own:
//   optimizer.lr: {log_uniform: [1e-4, 1e-1]}
//   label_smoothing: {uniform: [0, 0.2], step: 0.05}
//   batch_size: {int: [32, 128], step: 32}
//   optimizer.name: {choice: [sgd, adamw]}
#pragma once

#include "client/proto_reader.h"
#include "client/yaml_tree.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

// Adds a Dimension per key to the spec. Complains about paths that no field of
// TrainConfig has, about shapes, empty and reversed ranges and values of the wrong type.
void ReadSpace(const YamlNode& node, ProtoReader* reader, mead::v1::SweepSpec* spec);

}  // namespace mead::client
