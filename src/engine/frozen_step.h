// A frozen layer with its LoRA, residual sum and activation as one differentiable step. Its gradient goes to the step's
// inputs and to LoRA's factors only, and needs one stored bit per element for the activation, or up to 24
// (kernels/epilogue.h). The gradients of a value's readers are added in one buffer. How the forward pass is computed is
// the executor's choice.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <memory>
#include <utility>

#include "adapters/layer_adapter.h"
#include "engine/fusion.h"
#include "engine/prepared_base.h"

namespace lorikeet {

/// It refers to the prepared convolution of the base, which autograd keeps alive until the gradient is computed.
struct FrozenStep : torch::CustomClassHolder {
  FrozenStep(std::shared_ptr<const PreparedConv> shared, const FusedStep& step, bool is_linear)
      : prepared(std::move(shared)), activation(step.activation), takes_rows(is_linear) {}

  /// The input image of the convolution. A Linear's rows are the pixels of one image.
  at::Tensor image(const at::Tensor& value) const;
  /// The inverse; `like` is any value with the same leading dimensions.
  at::Tensor value(const at::Tensor& image, at::IntArrayRef like) const;

  std::shared_ptr<const PreparedConv> prepared;
  FusedActivation activation;
  bool takes_rows;
};
using FrozenStepPtr = c10::intrusive_ptr<FrozenStep>;

/// LoRA's term: low (N·H'·W', r) times upᵀ, up (out, r). With `down` (r, in), low is x · downᵀ. All are undefined
/// without LoRA.
struct LowRankPart {
  at::Tensor low;
  at::Tensor up;
  at::Tensor down;
};

/// The term of the layer's adapter for the input x, in x's type.
LowRankPart low_rank_part(const LayerAdapter& adapter, const Op& op, const FrozenStep& step, const at::Tensor& x,
                          bool training);

/// y (N, out, H', W'), channels-last, the result of the layer → activation(y + low·upᵀ + bias + residual), in place. If
/// `kept` is given, sets it to what the activation's gradient needs.
void finish_step_(const at::Tensor& y, const LowRankPart& lora, const Epilogue& after, at::Tensor* kept);

/// Computes the step's value, without gradients. If `kept` is given, sets it to what activation_gradient() needs.
using StepForward = std::function<at::Tensor(at::Tensor* kept)>;

/// Returns the value of `forward`, differentiable with respect to x, the residual (may be undefined) and LoRA's term if
/// gradients are enabled and any of them needs one.
at::Tensor run_frozen_step(const FrozenStepPtr& step, const at::Tensor& x, const at::Tensor& residual,
                           const LowRankPart& lora, const StepForward& forward);

}  // namespace lorikeet
