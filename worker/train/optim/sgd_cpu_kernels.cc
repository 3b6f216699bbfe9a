// The kernel of sgd_cpu_isa.h.
//
// Roundings are those of at::_fused_sgd_ in the same instruction set, so that the two
// give the same bits: it has fused multiply-adds everywhere but where the momentum
// decays. Compiled without contraction, so that nothing else is fused.
#include "worker/train/optim/sgd_cpu_isa.h"
#include "worker/train/simd/lanes.h"

namespace mead::train {
namespace {

struct Lane16 {
  V<float> gradient, momentum, weight;
};

template <bool momentum, bool nesterov>
MEAD_INLINE void Move(Lane16& at, float decay, float keep, float rate) {
  V<float> step = at.gradient;
  if (decay != 0) step = MultiplyAdd(at.weight, decay, step);
  if constexpr (momentum) {
    at.momentum = at.momentum * keep + step;
    step = nesterov ? MultiplyAdd(at.momentum, keep, step) : at.momentum;
  }
  at.weight = MultiplyAdd(step, -rate, at.weight);
}

template <bool momentum, bool nesterov, bool copy>
void Update(const SgdTensor& stretch, SgdSettings settings, float rate) {
  const SgdTensor t = stretch;
  const auto decay = static_cast<float>(settings.weight_decay);
  const auto keep = static_cast<float>(settings.momentum);
  Lane16 at{};
  int64_t i = 0;
  for (; i + kLanes <= t.size; i += kLanes) {
    at.gradient = Load(t.gradient + i);
    at.weight = Load(t.weight + i);
    if constexpr (momentum) at.momentum = Load(t.momentum + i);
    Move<momentum, nesterov>(at, decay, keep, rate);
    Store(at.weight, t.weight + i);
    if constexpr (momentum) Store(at.momentum, t.momentum + i);
    if constexpr (copy) Store(at.weight, t.copy + i);
  }
  const int64_t rest = t.size - i;
  if (rest == 0) return;
  at.gradient = LoadFirst(t.gradient + i, rest);
  at.weight = LoadFirst(t.weight + i, rest);
  if constexpr (momentum) at.momentum = LoadFirst(t.momentum + i, rest);
  Move<momentum, nesterov>(at, decay, keep, rate);
  StoreFirst(at.weight, t.weight + i, rest);
  if constexpr (momentum) StoreFirst(at.momentum, t.momentum + i, rest);
  if constexpr (copy) StoreFirst(at.weight, t.copy + i, rest);
}

template <bool copy>
void ChooseByMomentum(const SgdTensor& stretch, SgdSettings settings, float rate) {
  auto* update = stretch.momentum == nullptr ? Update<false, false, copy>
                 : settings.nesterov         ? Update<true, true, copy>
                                             : Update<true, false, copy>;
  update(stretch, settings, rate);
}

void Choose(const SgdTensor& stretch, SgdSettings settings, float rate) {
  auto* update = stretch.copy == nullptr ? ChooseByMomentum<false> : ChooseByMomentum<true>;
  update(stretch, settings, rate);
}

}  // namespace

const SgdCpuTable MEAD_TABLE(kSgdCpu) = {.isa = MEAD_ISA_NAME, .update = Choose};

}  // namespace mead::train
