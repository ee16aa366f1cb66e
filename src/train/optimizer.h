// AdamW (Loshchilov and Hutter, 2017, arXiv:1711.05101) and SGD with ATen's fused kernels. The results are those of
// torch.optim.AdamW and torch.optim.SGD.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// The optimizer's state between steps.
struct OptimizerState {
  /// One per parameter, or empty: AdamW's first moment, SGD's momentum buffer.
  std::vector<at::Tensor> first;
  /// One per parameter, or empty: AdamW's second moment.
  std::vector<at::Tensor> second;
  std::int64_t steps = 0;
};

class Optimizer {
 public:
  /// `parameters` are leaf tensors that require gradients.
  Optimizer(std::vector<at::Tensor> parameters, const OptimizerOptions& options);

  /// Updates the parameters from their gradients, then clears the gradients. Returns the gradients' norm before
  /// clipping if clip_grad_norm is set, else 0. Throws DivergedError if the norm is not finite.
  double step(double learning_rate);

  /// Returns a copy.
  OptimizerState state() const;
  /// Copies `state`. Throws Error if it does not match the parameters and options.
  void load(const OptimizerState& state);

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> first_;   // AdamW's first moment; SGD's momentum buffer
  std::vector<at::Tensor> second_;  // AdamW's second moment
  std::vector<at::Tensor> steps_;
  OptimizerKind kind_;
  double beta1_, beta2_, eps_, weight_decay_, momentum_, clip_;
  bool nesterov_;
  std::int64_t steps_done_ = 0;
};

/// Returns the learning rate of step `step` (from 0) of `total`. one_cycle follows torch.optim.lr_scheduler.OneCycleLR
/// with its defaults (div_factor 25, final_div_factor 1e4, cosine). The other schedules have a linear warm-up. In a
/// stage that ends before `total`, it is that of a run that ends there.
double scheduled_learning_rate(const OptimizerOptions& options, std::int64_t step, std::int64_t total);

}  // namespace lorikeet
