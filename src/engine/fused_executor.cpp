// The fast executor. Frozen convolutions run as fused steps (engine/fusion.h) in channels-last memory with BatchNorm
// folded into their weights (engine/prepared_base.h); backward they give the gradient to their input and nothing else,
// and keep one bit an element for their activation. LoRA rides on the step of its convolution: the low-rank part is a
// thin matrix product added before the activation. Everything else is ATen's operators and autograd, as in the plain
// executor.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <optional>
#include <utility>

#include "adapters/lora.h"
#include "engine/fusion.h"
#include "engine/prepared_base.h"
#include "engine/step_executor.h"
#include "kernels/epilogue.h"
#include "kernels/frozen_conv.h"

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A frozen step as it runs. The prepared convolution is the base's; autograd keeps it alive until the gradient is
// there.
struct FrozenStep : torch::CustomClassHolder {
  FrozenStep(std::shared_ptr<const PreparedConv> shared, const Clamp& bounds)
      : prepared(std::move(shared)), clamp(bounds) {}

  std::shared_ptr<const PreparedConv> prepared;
  Clamp clamp;
};
using FrozenStepPtr = c10::intrusive_ptr<FrozenStep>;

// y = clamp(conv(x) + low·upᵀ + bias + residual); low (N·H'·W', r) and up (out, r) come from LoRA, or are undefined.
at::Tensor run_frozen(const FrozenStep& step, const at::Tensor& x, const at::Tensor& residual, const at::Tensor& low,
                      const at::Tensor& up, bool masked, at::Tensor& mask) {
  const FrozenConv& conv = step.prepared->conv;
  const Epilogue after{step.prepared->bias, residual, step.clamp};
  if (!low.defined() && !masked) return conv.forward(x, after);
  at::Tensor y = conv.forward(x);
  if (low.defined()) pixels_of(y).addmm_(low, up.t());
  mask = apply_epilogue_(y, after, masked);
  return y;
}

at::Tensor tensor_or_none(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

struct FrozenFunction : torch::autograd::Function<FrozenFunction> {
  using Optional = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, const FrozenStepPtr& step, const at::Tensor& x,
                            const Optional& residual, const Optional& low, const Optional& up) {
    at::Tensor mask;
    at::Tensor y =
        run_frozen(*step, x, tensor_or_none(residual), tensor_or_none(low), tensor_or_none(up), /*masked=*/true, mask);
    // Neither x nor y is kept.
    context->save_for_backward({mask, tensor_or_none(low), tensor_or_none(up)});
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    context->saved_data["x"] = x.requires_grad();
    context->saved_data["height"] = x.size(2);
    context->saved_data["width"] = x.size(3);
    context->saved_data["residual"] = residual.has_value() && residual->requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto& data = context->saved_data;
    const auto step = c10::static_intrusive_pointer_cast<FrozenStep>(data["step"].toCapsule());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &mask = saved[0], &low = saved[1], &up = saved[2];
    const at::Tensor grad = mask_gradient(grads[0], mask);
    variable_list out(5);
    if (data["x"].toBool())
      out[1] = step->prepared->conv.input_gradient(grad, {data["height"].toInt(), data["width"].toInt()});
    if (data["residual"].toBool()) out[2] = grad;
    if (low.defined()) {
      // Thin products: by the layouts as they come, MKL takes three and five times as long.
      const at::Tensor pixels = pixels_of(grad);
      out[3] = at::mm(pixels, up.t().contiguous().t());
      out[4] = at::mm(low.t(), pixels).t();
    }
    return out;
  }
};

class FusedExecutor final : public StepExecutor {
 public:
  FusedExecutor(const Network& network, const ExecutorOptions& options)
      : StepExecutor(network, options, at::MemoryFormat::ChannelsLast, fuse), frozen_(steps().size()) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < steps().size(); ++i) {
      if (!steps()[i].frozen_conv) continue;
      frozen_[i] = c10::make_intrusive<FrozenStep>(prepared().conv(network, steps()[i], precision()), steps()[i].clamp);
    }
  }

 private:
  at::Tensor run_step(std::size_t index, const Values& values, bool training) override {
    return frozen_[index] ? run_conv(steps()[index], frozen_[index], values, training)
                          : run_node(steps()[index].first, values, training);
  }

  at::Tensor run_conv(const FusedStep& step, const FrozenStepPtr& frozen, const Values& values, bool training) const {
    const Node& node = network().graph().node(step.first);
    const at::Tensor x = values[node.inputs[0]].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor residual = step.residual ? values[*step.residual] : at::Tensor();
    at::Tensor low;
    at::Tensor up;
    if (const LayerAdapter* adapter = network().adapter(step.first)) {
      const auto layer = adapter->low_rank();  // or fuse() would have left the node alone
      low = pixels_of(lora_down(*layer, node.op, x, training));
      up = (layer->lora_B.flatten(1) * (frozen->prepared->scale * layer->scaling).unsqueeze(1)).to(precision());
    }
    const bool learns = at::GradMode::is_enabled() &&
                        (x.requires_grad() || low.defined() || (residual.defined() && residual.requires_grad()));
    if (learns)
      return FrozenFunction::apply(frozen, x, optional_tensor(residual), optional_tensor(low), optional_tensor(up));
    at::Tensor no_mask;
    return run_frozen(*frozen, x, residual, low, up, /*masked=*/false, no_mask);
  }

  std::vector<FrozenStepPtr> frozen_;  // one a step; null where it is not a frozen convolution
};

}  // namespace

std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<FusedExecutor>(network, options);
}

}  // namespace lorikeet
