// Between files of tensors and the model's tensors.
#pragma once

#include <string>
#include <vector>

#include "worker/train/state/reports.h"
#include "worker/train/state/safetensors.h"
#include "worker/train/tensors.h"

namespace mead::train {

// A tensor of the file on the CPU, dense row-major.
// Errors: kUserError (a dtype that no model tensor has).
at::Tensor ReadTensor(const SafetensorsFile& file, const TensorInfo& info);

// Copies into each of `tensors` the file's tensor of that name, converted to its
// dtype, where the shapes agree; the others keep their values. Tensors of the
// file whose name begins with one of `ignored_prefixes` are not unexpected.
WeightsReport CopyFromFile(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors,
                           const std::vector<std::string>& ignored_prefixes);

// The same from a file whose bytes say which it is: safetensors, or what torch.save wrote.
WeightsReport CopyFromWeights(const std::string& path, const std::vector<NamedTensor>& tensors,
                              const std::vector<std::string>& ignored_prefixes);

// Collects tensors for WriteSafetensors, which copies each that is not dense on the CPU
// when its turn comes.
void AppendForWriting(const std::vector<NamedTensor>& tensors, const std::string& prefix,
                      std::vector<TensorData>& out);

}  // namespace mead::train
