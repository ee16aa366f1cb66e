// The fast executor. Frozen convolutions run as fused steps (engine/fusion.h) in channels-last memory with BatchNorm folded
// into their weights; backward they give the gradient to their input and nothing else, and keep one bit an element for
// their activation. LoRA rides on the step of its convolution: the low-rank part is a thin matrix product added before the
// activation. Everything else is ATen's operators and autograd, as in the plain executor.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <optional>
#include <utility>

#include "engine/epilogue.h"
#include "engine/executor.h"
#include "engine/frozen_conv.h"
#include "engine/fusion.h"

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a frozen step needs when it runs.
struct FrozenStep {
  FrozenConv conv;
  at::Tensor bias;   // (out,) float32, BatchNorm's shift in it
  at::Tensor scale;  // (out,) float32: by what BatchNorm multiplies, LoRA's part too; undefined without BatchNorm
  Clamp clamp;
};

FrozenStep make_frozen_step(const FusedStep& step, const Network& network, at::ScalarType precision) {
  const auto& conv = std::get<Conv2d>(network.graph().node(step.first).op);
  const NodeTensors& tensors = network.tensors(step.first);
  at::Tensor weight = tensors.weight.to(at::kDouble);
  at::Tensor bias = tensors.bias.defined() ? tensors.bias.to(at::kDouble) : at::zeros({conv.out}, weight.options());
  at::Tensor scale;
  if (step.norm) {
    const NodeTensors& norm = network.tensors(*step.norm);
    scale = norm.weight.to(at::kDouble) / at::sqrt(norm.running_var.to(at::kDouble) + std::get<BatchNorm2d>(network.graph().node(*step.norm).op).eps);
    bias = (bias - norm.running_mean.to(at::kDouble)) * scale + norm.bias.to(at::kDouble);
    weight = weight * scale.view({-1, 1, 1, 1});
    scale = scale.to(at::kFloat);
  }
  return {FrozenConv(conv, weight.to(precision)), bias.to(at::kFloat), scale, step.clamp};
}

// (N, C, H, W) in channels-last memory → (N·H·W, C), without a copy.
at::Tensor pixels_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

// y = clamp(conv(x) + low·upᵀ + bias + residual); low (N·H'·W', r) and up (out, r) come from LoRA, or are undefined.
at::Tensor run_frozen(FrozenStep& step, const at::Tensor& x, const at::Tensor& residual, const at::Tensor& low, const at::Tensor& up, bool masked, at::Tensor& mask) {
  at::Tensor y = step.conv.forward(x);
  if (low.defined()) pixels_of(y).addmm_(low, up.t());
  mask = finish_(y, step.bias, residual, step.clamp, masked);
  return y;
}

std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor) { return tensor.defined() ? std::optional(tensor) : std::nullopt; }
at::Tensor tensor_or_none(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

struct FrozenFunction : torch::autograd::Function<FrozenFunction> {
  using Optional = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, FrozenStep* step, const at::Tensor& x, const Optional& residual, const Optional& low, const Optional& up) {
    at::Tensor mask;
    at::Tensor y = run_frozen(*step, x, tensor_or_none(residual), tensor_or_none(low), tensor_or_none(up), /*masked=*/true, mask);
    // Neither x nor y is kept.
    context->save_for_backward({mask, tensor_or_none(low), tensor_or_none(up)});
    context->saved_data["step"] = reinterpret_cast<std::int64_t>(step);
    context->saved_data["x"] = x.requires_grad();
    context->saved_data["residual"] = residual.has_value() && residual->requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto& step = *reinterpret_cast<FrozenStep*>(context->saved_data["step"].toInt());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &mask = saved[0], &low = saved[1], &up = saved[2];
    const at::Tensor grad = mask_gradient(grads[0], mask);
    variable_list out(5);
    if (context->saved_data["x"].toBool()) out[1] = step.conv.input_gradient(grad);
    if (context->saved_data["residual"].toBool()) out[2] = grad;
    if (low.defined()) {
      const at::Tensor pixels = pixels_of(grad);
      out[3] = at::mm(pixels, up);
      out[4] = at::mm(pixels.t(), low);
    }
    return out;
  }
};

class FusedExecutor final : public Executor {
 public:
  FusedExecutor(const Network& network, const ExecutorOptions& options)
      : network_(network), plan_(options.plan ? *options.plan : make_plan(network)), precision_(options.precision), steps_(fuse(network, plan_)), frozen_(steps_.size()), single_(network.graph().nodes().size()),
        uses_(network.graph().nodes().size(), 0) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      for (const NodeId input : steps_[i].inputs(network.graph())) ++uses_[input];
      if (steps_[i].frozen_conv) {
        frozen_[i].emplace(make_frozen_step(steps_[i], network, precision_));
      } else if (!network.is_retrained(steps_[i].first)) {
        single_[steps_[i].first] = cast(network.tensors(steps_[i].first), network.graph().node(steps_[i].first).op);
      }
    }
  }

  Frontier run_prefix(const at::Tensor& images) override {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> outputs(network_.graph().nodes().size());
    outputs[0] = images.to(precision_).contiguous(at::MemoryFormat::ChannelsLast);
    run(outputs, /*prefix=*/true, /*training=*/false);
    Frontier frontier;
    for (const NodeId id : plan_.frontier) frontier.push_back(outputs[id]);
    return frontier;
  }

  at::Tensor run_rest(const Frontier& frontier, bool training) override {
    std::vector<at::Tensor> outputs(network_.graph().nodes().size());
    for (std::size_t i = 0; i < frontier.size(); ++i) outputs[plan_.frontier[i]] = frontier[i];
    run(outputs, /*prefix=*/false, training);
    return outputs.back().to(at::kFloat);
  }

  const Plan& plan() const override { return plan_; }

 private:
  // Fills `outputs` for the steps of the prefix or of the rest, dropping each as soon as its last reader has run.
  void run(std::vector<at::Tensor>& outputs, bool prefix, bool training) {
    std::vector<int> left = uses_;
    for (const NodeId id : plan_.frontier) left[id] += prefix ? 1 : 0;  // the frontier outlives the prefix
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const FusedStep& step = steps_[i];
      if ((plan_.segment[step.first] == Segment::kFrozenPrefix) != prefix) continue;
      outputs[step.output] = frozen_[i] ? run_conv(step, *frozen_[i], outputs, training) : run_single(step.first, outputs, training);
      for (const NodeId input : step.inputs(network_.graph())) {
        if (--left[input] == 0) outputs[input] = at::Tensor();
      }
    }
  }

  at::Tensor run_conv(const FusedStep& step, FrozenStep& frozen, const std::vector<at::Tensor>& outputs, bool training) {
    const Node& node = network_.graph().node(step.first);
    const at::Tensor x = outputs[node.inputs[0]].contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor residual = step.residual ? outputs[*step.residual] : at::Tensor();
    at::Tensor low;
    at::Tensor up;
    if (const LoraLayer* layer = network_.lora(step.first)) {
      low = pixels_of(lora_down(*layer, node.op, x, training));
      const at::Tensor scale = frozen.scale.defined() ? frozen.scale * layer->scaling : at::full({layer->lora_B.size(0)}, layer->scaling, layer->lora_B.options().requires_grad(false));
      up = (layer->lora_B.flatten(1) * scale.unsqueeze(1)).to(precision_);
    }
    const bool learns = at::GradMode::is_enabled() && (x.requires_grad() || low.defined() || (residual.defined() && residual.requires_grad()));
    if (learns) return FrozenFunction::apply(&frozen, x, optional_tensor(residual), optional_tensor(low), optional_tensor(up));
    at::Tensor no_mask;
    return run_frozen(frozen, x, residual, low, up, /*masked=*/false, no_mask);
  }

  at::Tensor run_single(NodeId id, const std::vector<at::Tensor>& outputs, bool training) const {
    const Node& node = network_.graph().node(id);
    const at::Tensor& x = outputs[node.inputs[0]];
    const at::Tensor second = node.inputs.size() > 1 ? outputs[node.inputs[1]] : at::Tensor();
    at::Tensor y = apply(node.op, network_.is_retrained(id) ? cast(network_.tensors(id), node.op) : single_[id], x, second);
    if (const LoraLayer* layer = network_.lora(id)) y = y + lora_forward(*layer, node.op, x, training);
    return y;
  }

  NodeTensors cast(const NodeTensors& tensors, const Op& op) const {
    NodeTensors out = tensors;
    if (std::holds_alternative<BatchNorm2d>(op)) return out;  // stays float32
    if (out.weight.defined()) out.weight = tensors.weight.to(precision_);
    if (out.bias.defined()) out.bias = tensors.bias.to(precision_);
    return out;
  }

  const Network& network_;
  Plan plan_;
  at::ScalarType precision_;
  std::vector<FusedStep> steps_;
  std::vector<std::optional<FrozenStep>> frozen_;  // one a step
  std::vector<NodeTensors> single_;                // one a node: frozen ones that run alone, in `precision_`
  std::vector<int> uses_;                          // how many steps read each node's value
};

}  // namespace

std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<FusedExecutor>(network, options);
}

}  // namespace lorikeet
