#include "train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "train/diverged.h"

namespace lorikeet {

Optimizer::Optimizer(std::vector<at::Tensor> parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), kind_(options.kind), beta1_(options.betas[0]), beta2_(options.betas[1]),
      eps_(options.eps), weight_decay_(options.weight_decay), momentum_(options.momentum),
      clip_(options.clip_grad_norm), nesterov_(options.nesterov) {
  options.check();
  for (const at::Tensor& parameter : parameters_) {
    if (kind_ == OptimizerKind::kAdamW || momentum_ > 0) first_.push_back(at::zeros_like(parameter));
    if (kind_ == OptimizerKind::kAdamW) {
      second_.push_back(at::zeros_like(parameter));
      steps_.push_back(at::zeros({}, parameter.options().dtype(at::kFloat)));
    }
  }
}

double Optimizer::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters_) gradients.push_back(parameter.grad().contiguous());

  double norm = 0;
  if (clip_ > 0) {
    std::vector<at::Tensor> norms;
    for (const at::Tensor& gradient : gradients) norms.push_back(at::linalg_vector_norm(gradient));
    norm = at::linalg_vector_norm(at::stack(norms)).item<double>();
    if (!std::isfinite(norm))
      throw DivergedError("training: got a gradient that is not finite, expected finite numbers. Lower learning_rate.");
    if (norm > clip_) {
      for (at::Tensor& gradient : gradients) gradient.mul_(clip_ / (norm + 1e-6));  // as torch.nn.utils.clip_grad_norm_
    }
  }

  if (kind_ == OptimizerKind::kAdamW) {
    for (at::Tensor& count : steps_) count.add_(1);
    at::_fused_adamw_(parameters_, gradients, first_, second_, /*max_exp_avg_sqs=*/{}, steps_, learning_rate, beta1_,
                      beta2_, weight_decay_, eps_, /*amsgrad=*/false, /*maximize=*/false);
  } else {
    at::_fused_sgd_(parameters_, gradients, first_, weight_decay_, momentum_, learning_rate, /*dampening=*/0, nesterov_,
                    /*maximize=*/false, /*is_first_step=*/steps_done_ == 0);
  }
  ++steps_done_;
  for (at::Tensor& parameter : parameters_) {
    parameter.unsafeGetTensorImpl()->bump_version();  // the fused operators do not: DoRA's cached norms depend on it
    parameter.mutable_grad() = at::Tensor();
  }
  return norm;
}

OptimizerState Optimizer::state() const {
  OptimizerState out;
  for (const at::Tensor& tensor : first_) out.first.push_back(tensor.clone());
  for (const at::Tensor& tensor : second_) out.second.push_back(tensor.clone());
  out.steps = steps_done_;
  return out;
}

void Optimizer::load(const OptimizerState& state) {
  const auto fits = [](const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& other) {
    return std::equal(own.begin(), own.end(), other.begin(), other.end(),
                      [](const at::Tensor& a, const at::Tensor& b) { return a.sizes() == b.sizes(); });
  };
  if (!fits(first_, state.first) || !fits(second_, state.second) || state.steps < 0)
    fail("training state: got an optimizer with other parameters or of another kind, expected that of this run.");
  for (std::size_t i = 0; i < first_.size(); ++i) first_[i].copy_(state.first[i]);
  for (std::size_t i = 0; i < second_.size(); ++i) second_[i].copy_(state.second[i]);
  for (at::Tensor& count : steps_) count.fill_(static_cast<double>(state.steps));
  steps_done_ = state.steps;
}

double scheduled_learning_rate(const OptimizerOptions& options, std::int64_t step, std::int64_t total) {
  const double peak = options.learning_rate;
  const auto stage = std::find_if(options.stages.begin(), options.stages.end(), [&](auto end) { return step < end; });
  if (stage != options.stages.end()) total = std::min(total, *stage);
  const auto cosine = [](double from, double to, double share) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * share));
  };
  if (options.schedule == ScheduleKind::kOneCycle) {
    const double start = peak / 25;
    const double rise_end = options.warmup * static_cast<double>(total) - 1;
    const double last = static_cast<double>(total) - 1;
    const auto at = static_cast<double>(step);
    if (at <= rise_end) return rise_end > 0 ? cosine(start, peak, at / rise_end) : peak;
    return last > rise_end ? cosine(peak, start / 1e4, (at - rise_end) / (last - rise_end)) : peak;
  }
  const double warm = std::floor(options.warmup * static_cast<double>(total));
  if (static_cast<double>(step) < warm) return peak * static_cast<double>(step + 1) / warm;
  if (options.schedule == ScheduleKind::kConstant) return peak;
  return cosine(peak, 0, (static_cast<double>(step) - warm) / (static_cast<double>(total) - warm));
}

}  // namespace lorikeet
