#include "bench/step_profile_sides/kernel_times.h"

#include <kineto/ActivityType.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <unordered_map>

namespace mead::bench {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

bool RunsOnDevice(const profiler::KinetoEvent& event) {
  if (event.deviceType() != c10::DeviceType::CUDA) return false;
  switch (static_cast<libkineto::ActivityType>(event.activityType())) {
    case libkineto::ActivityType::CONCURRENT_KERNEL:
    case libkineto::ActivityType::GPU_MEMCPY:
    case libkineto::ActivityType::GPU_MEMSET:
      return true;
    default:  // annotations span kernels and would count them twice
      return false;
  }
}

}  // namespace

void KernelTimes::Start() {
  const ProfilerConfig config(ProfilerState::KINETO);
  profiler::prepareProfiler(config, {ActivityType::CPU, ActivityType::CUDA});
  profiler::enableProfiler(config, {ActivityType::CPU, ActivityType::CUDA});
}

std::map<std::pair<std::string, std::string>, KernelTotals> KernelTimes::Stop() {
  const auto result = profiler::disableProfiler();
  std::unordered_map<uint64_t, std::string> operators;  // by correlation
  for (const profiler::KinetoEvent& event : result->events()) {
    if (event.deviceType() == c10::DeviceType::CPU && event.linkedCorrelationId() == 0) {
      operators[event.correlationId()] = event.name();
    }
  }
  std::map<std::pair<std::string, std::string>, KernelTotals> all;
  for (const profiler::KinetoEvent& event : result->events()) {
    if (!RunsOnDevice(event)) continue;
    const auto launcher = operators.find(event.linkedCorrelationId());
    KernelTotals& totals = all[{launcher == operators.end() ? "" : launcher->second, event.name()}];
    ++totals.calls;
    totals.us += static_cast<double>(event.durationNs()) / 1e3;
  }
  return all;
}

}  // namespace mead::bench
