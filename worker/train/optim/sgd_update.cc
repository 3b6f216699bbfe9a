#include "worker/train/optim/sgd_update.h"

#include <ATen/record_function.h>

#include <string>

#include "worker/train/optim/sgd_cpu.h"
#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "worker/train/optim/sgd_gpu.h"
#endif

namespace mead::train {
namespace {

const at::Tensor& Checked(const at::Tensor& tensor, const at::Tensor& parameter,
                          at::ScalarType type) {
  if (tensor.scalar_type() != type || !SameLayout(tensor, parameter)) {
    throw TrainError(ErrorKind::kInternal,
                     std::string("what belongs to a parameter is not laid out as it is, in ") +
                         c10::toString(type));
  }
  return tensor;
}

SgdTensor Pointers(const UpdateGroup& group, size_t i, const at::Tensor& gradient,
                   bool has_momentum) {
  const at::Tensor& weight = group.parameters[i];
  SgdTensor tensor{.gradient = Checked(gradient, weight, at::kFloat).const_data_ptr<float>(),
                   .weight = Checked(weight, weight, at::kFloat).mutable_data_ptr<float>(),
                   .size = weight.numel()};
  if (has_momentum) {
    const at::Tensor& momentum = group.state.at(0)[i];
    tensor.momentum = Checked(momentum, weight, at::kFloat).mutable_data_ptr<float>();
  }
  if (const at::Tensor& copy = group.copies[i]; copy.defined()) {
    tensor.copy = reinterpret_cast<Bf16Storage*>(
        Checked(copy, weight, at::kBFloat16).mutable_data_ptr<at::BFloat16>());
  }
  return tensor;
}

}  // namespace

void SgdUpdate(const UpdateGroup& group, const std::vector<at::Tensor>& gradients,
               const at::Tensor& rate, const SgdSettings& settings) {
  RECORD_USER_SCOPE("mead::sgd_update");
  std::vector<SgdTensor> tensors;
  tensors.reserve(gradients.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    tensors.push_back(Pointers(group, i, gradients[i], settings.momentum != 0));
  }
  if (group.parameters.front().is_cpu()) {
    if (group.found_inf.defined() && group.found_inf.item<float>() == 1) return;
    SgdUpdateOnCpu(tensors, settings, rate.defined() ? rate.item<float>() : 1.0F);
    return;
  }
#ifdef MEAD_HAVE_CUDA
  const auto pointer = [](const at::Tensor& scalar) {
    return scalar.defined() ? scalar.const_data_ptr<float>() : nullptr;
  };
  const auto stream = c10::cuda::getCurrentCUDAStream(group.parameters.front().device().index());
  const int error = SgdUpdateOnGpu(tensors.data(), static_cast<int64_t>(tensors.size()), settings,
                                   pointer(rate), pointer(group.found_inf), stream.stream());
  if (error != 0) {
    throw TrainError(ErrorKind::kInternal, std::string("the update on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
#endif
}

}  // namespace mead::train
