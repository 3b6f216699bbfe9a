// The rule by which an optimizer moves weights: one file per rule, and one line
// in update_rule.cc that chooses it.
//
// A rule sees lists of tensors and issues a handful of fused or foreach
// operations on them. Where forward reads parameters in bfloat16, rules write those
// copies as well: SGD's kernel (sgd_update.h) in the same pass. What changes from step to step
// (rate, count, whether to skip) reaches it in device tensors, and it never asks the device for a
// number, so that a CUDA graph can hold a step.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/tensors.h"

namespace mead::train {

// Parameters that share a rate and a step count, with what belongs to each: the
// lists have one tensor per parameter, of its shape and strides.
struct UpdateGroup {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;
  // In bfloat16, of the parameters' values; undefined where there is none.
  std::vector<at::Tensor> copies;
  // The rule's own, in the order of its state_names(); zeros before the first update.
  std::vector<std::vector<at::Tensor>> state;
  at::Tensor rate;   // [], float32
  at::Tensor steps;  // [], float32; updates with this one, if the rule counts them
  // [], float32; 1: leave parameters and state as they are. Undefined: never.
  at::Tensor found_inf;

  // Those parameters i for which chosen(i) holds, with what belongs to them.
  UpdateGroup Where(const std::function<bool(size_t)>& chosen) const;

  // The copies take the parameters' values, in a pass of its own.
  void WriteCopies() const;

  // found_inf as the fused operations take it.
  std::optional<at::Tensor> skip() const {
    return found_inf.defined() ? std::optional(found_inf) : std::nullopt;
  }
};

// Thread: none of its own; rules have no state but their settings.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  // What it keeps for each parameter, as checkpoints name it ("momentum").
  virtual std::vector<std::string> state_names() const = 0;
  // Whether it needs the number of updates.
  virtual bool counts_steps() const { return false; }

  // Moves the parameters and the state, and writes the copies.
  virtual void Update(const UpdateGroup& group) const = 0;
};

std::unique_ptr<UpdateRule> MakeUpdateRule(const OptimizerOptions& options);

// Each in its own file.
std::unique_ptr<UpdateRule> MakeSgd(const OptimizerOptions& options);
std::unique_ptr<UpdateRule> MakeAdamW(const OptimizerOptions& options);
std::unique_ptr<UpdateRule> MakeLars(const OptimizerOptions& options);
std::unique_ptr<UpdateRule> MakeLamb(const OptimizerOptions& options);

}  // namespace mead::train
