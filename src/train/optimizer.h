// AdamW (Loshchilov and Hutter, 2017, arXiv:1711.05101) and SGD, by ATen's fused kernels: the arithmetic of
// torch.optim.AdamW and torch.optim.SGD.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// All that an optimiser keeps from step to step.
struct OptimizerState {
  /// One a parameter, or none: AdamW's mean of gradients, SGD's momentum.
  std::vector<at::Tensor> first;
  /// One a parameter, or none: AdamW's mean of squares.
  std::vector<at::Tensor> second;
  std::int64_t steps = 0;
};

class Optimizer {
 public:
  /// `parameters` are leaves that require gradients.
  Optimizer(std::vector<at::Tensor> parameters, const OptimizerOptions& options);

  /// Updates the parameters from their gradients, then clears these. Gives the gradients' norm, before clipping, where
  /// clip_grad_norm is set; else 0. Throws Error where it is not finite.
  double step(double learning_rate);

  /// A copy.
  OptimizerState state() const;
  /// Copies `state` in. Throws Error where it is not of such parameters and options.
  void load(const OptimizerState& state);

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> first_;   // AdamW's mean of gradients; SGD's momentum
  std::vector<at::Tensor> second_;  // AdamW's mean of squares
  std::vector<at::Tensor> steps_;
  OptimizerKind kind_;
  double beta1_, beta2_, eps_, weight_decay_, momentum_, clip_;
  bool nesterov_;
  std::int64_t steps_done_ = 0;
};

/// The learning rate of step `step` (from 0) of `total`. one_cycle follows torch.optim.lr_scheduler.OneCycleLR with its
/// defaults (div_factor 25, final_div_factor 1e4, cosine); the others rise linearly in the warm-up.
double scheduled_learning_rate(const OptimizerOptions& options, std::int64_t step, std::int64_t total);

}  // namespace lorikeet
