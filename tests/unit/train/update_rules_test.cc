// Each rule against its paper's equations, written out in double precision.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/train/optim_problem.h"
#include "worker/train/optim/optimizer.h"

namespace mead::train {
namespace {

struct Reference {
  bool is_matrix = false;
  std::vector<double> w, first, second;
};
using Rule = std::function<void(Reference&, const std::vector<double>& g, double rate, int step)>;

void ExpectFollows(const OptimizerOptions& options, const Rule& rule) {
  Problem problem;
  Optimizer optimizer(options, problem.body, problem.head);
  std::vector<Reference> references;
  for (const NamedTensor& parameter : problem.All()) {
    const std::vector<double> w = Values(parameter.tensor);
    references.push_back({.is_matrix = parameter.tensor.dim() > 1,
                          .w = w,
                          .first = std::vector<double>(w.size()),
                          .second = std::vector<double>(w.size())});
  }
  for (int step = 1; step <= 5; ++step) {
    const double head_rate = options.lr / step;
    const double body_rate = 0.3 * head_rate;
    problem.SetGradients(step);
    optimizer.SetRates(body_rate, head_rate);
    optimizer.Step();
    const std::vector<NamedTensor> all = problem.All();
    for (size_t i = 0; i < all.size(); ++i) {
      rule(references[i], Values(all[i].tensor.grad()),
           i < problem.body.size() ? body_rate : head_rate, step);
      ExpectNear(Values(all[i].tensor), references[i].w,
                 all[i].name + " after step " + std::to_string(step));
    }
  }
}

// v = momentum v + d, and the step that follows from it.
double Momentum(const OptimizerOptions& options, double& v, double d) {
  v = options.momentum * v + d;
  return options.nesterov ? d + options.momentum * v : v;
}

Rule SgdRule(const OptimizerOptions& options) {
  return [options](Reference& p, const std::vector<double>& g, double rate, int /*step*/) {
    for (size_t i = 0; i < g.size(); ++i) {
      p.w[i] -= rate * Momentum(options, p.first[i], g[i] + options.weight_decay * p.w[i]);
    }
  };
}

Rule LarsRule(const OptimizerOptions& options) {
  return [options](Reference& p, const std::vector<double>& g, double rate, int /*step*/) {
    const double decay = p.is_matrix ? options.weight_decay : 0;
    const double ratio =
        p.is_matrix ? options.trust_coefficient * Norm(p.w) / (Norm(g) + decay * Norm(p.w)) : 1;
    for (size_t i = 0; i < g.size(); ++i) {
      p.w[i] -= Momentum(options, p.first[i], rate * ratio * (g[i] + decay * p.w[i]));
    }
  };
}

// Adam's step without its rate.
std::vector<double> AdamStep(const OptimizerOptions& options, Reference& p,
                             const std::vector<double>& g, int step) {
  std::vector<double> r(g.size());
  for (size_t i = 0; i < g.size(); ++i) {
    p.first[i] = options.beta1 * p.first[i] + (1 - options.beta1) * g[i];
    p.second[i] = options.beta2 * p.second[i] + (1 - options.beta2) * g[i] * g[i];
    r[i] = p.first[i] / (1 - std::pow(options.beta1, step)) /
           (std::sqrt(p.second[i] / (1 - std::pow(options.beta2, step))) + options.epsilon);
  }
  return r;
}

Rule AdamWRule(const OptimizerOptions& options) {
  return [options](Reference& p, const std::vector<double>& g, double rate, int step) {
    const std::vector<double> r = AdamStep(options, p, g, step);
    for (size_t i = 0; i < g.size(); ++i) {
      p.w[i] -= rate * (r[i] + options.weight_decay * p.w[i]);
    }
  };
}

Rule LambRule(const OptimizerOptions& options) {
  return [options](Reference& p, const std::vector<double>& g, double rate, int step) {
    std::vector<double> u = AdamStep(options, p, g, step);
    double ratio = 1;
    if (p.is_matrix) {
      for (size_t i = 0; i < g.size(); ++i) u[i] += options.weight_decay * p.w[i];
      ratio = Norm(p.w) / Norm(u);
    }
    for (size_t i = 0; i < g.size(); ++i) p.w[i] -= rate * ratio * u[i];
  };
}

// With and without weight decay.
class UpdateRules : public ::testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(WeightDecay, UpdateRules, ::testing::Values(0, 0.05));

TEST_P(UpdateRules, SgdFollowsItsEquations) {
  OptimizerOptions options{.kind = OptimizerKind::kSgd, .lr = 0.1, .weight_decay = GetParam()};
  ExpectFollows(options, SgdRule(options));
  options.nesterov = false;
  ExpectFollows(options, SgdRule(options));
  options.momentum = 0;
  ExpectFollows(options, SgdRule(options));
}

TEST_P(UpdateRules, AdamWFollowsItsEquations) {
  const OptimizerOptions options{
      .kind = OptimizerKind::kAdamW, .lr = 0.01, .weight_decay = GetParam(), .beta2 = 0.99};
  ExpectFollows(options, AdamWRule(options));
}

TEST_P(UpdateRules, LarsFollowsItsEquations) {
  OptimizerOptions options{.kind = OptimizerKind::kLars,
                           .lr = 1,
                           .weight_decay = GetParam(),
                           .nesterov = false,
                           .trust_coefficient = 0.02};
  ExpectFollows(options, LarsRule(options));
  options.nesterov = true;
  ExpectFollows(options, LarsRule(options));
  options.momentum = 0;
  options.nesterov = false;
  ExpectFollows(options, LarsRule(options));
}

TEST_P(UpdateRules, LambFollowsItsEquations) {
  const OptimizerOptions options{
      .kind = OptimizerKind::kLamb, .lr = 0.05, .weight_decay = GetParam(), .epsilon = 1e-6};
  ExpectFollows(options, LambRule(options));
}

// A ratio of 0 would hold a layer of zeros where it is for ever.
TEST(LayerwiseRates, ALayerOfZerosCanLeaveThem) {
  for (const OptimizerKind kind : {OptimizerKind::kLars, OptimizerKind::kLamb}) {
    Problem problem;
    problem.head[0].tensor.zero_();
    Optimizer optimizer({.kind = kind}, problem.body, problem.head);
    problem.SetGradients(1);
    optimizer.SetRates(0.1, 0.1);
    optimizer.Step();
    EXPECT_GT(problem.head[0].tensor.norm().item<double>(), 0.01) << OptimizerName(kind);
  }
}

TEST(LayerwiseRates, AGradientOfZerosMovesNothingWithoutWeightDecay) {
  for (const OptimizerKind kind : {OptimizerKind::kLars, OptimizerKind::kLamb}) {
    Problem problem;
    const std::vector<double> before = Values(problem.body[0].tensor);
    Optimizer optimizer({.kind = kind, .weight_decay = 0}, problem.body, problem.head);
    problem.SetGradients(1);
    problem.body[0].tensor.mutable_grad().zero_();
    optimizer.SetRates(0.1, 0.1);
    optimizer.Step();
    EXPECT_EQ(Values(problem.body[0].tensor), before) << OptimizerName(kind);
  }
}

}  // namespace
}  // namespace mead::train
