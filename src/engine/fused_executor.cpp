// The fast executor. Frozen convolutions and Linear layers run as fused steps (engine/fusion.h), convolutions in
// channels-last memory with BatchNorm folded into their weights (engine/prepared_base.h). Their backward pass computes
// only the gradient to the input, and keeps one bit per element for the activation, or up to 24 (kernels/epilogue.h).
// LoRA joins the step of its layer: its term is added before the activation, and on a Linear or a 1×1 convolution its
// gradient to the input is added to that of the layer. The gradients of a value's readers are added in one buffer
// (GradientSum); autograd's sum needs one for each. Attention in float32 uses kernels/attention.h. Everything else uses
// ATen's operators and autograd, as in the plain executor.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "adapters/lora.h"
#include "engine/fusion.h"
#include "engine/prepared_base.h"
#include "engine/step_executor.h"
#include "kernels/epilogue.h"
#include "kernels/frozen_conv.h"
#include "kernels/thin_product.h"

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A frozen step. It refers to the prepared convolution of the base, which autograd keeps alive until the gradient is
// computed.
struct FrozenStep : torch::CustomClassHolder {
  FrozenStep(std::shared_ptr<const PreparedConv> shared, const FusedStep& step, bool is_linear)
      : prepared(std::move(shared)), activation(step.activation), takes_rows(is_linear) {}

  // The input image of the convolution. A Linear's rows are the pixels of one image.
  at::Tensor image(const at::Tensor& value) const {
    return takes_rows ? image_of(value.reshape({-1, value.size(-1)}))
                      : value.contiguous(at::MemoryFormat::ChannelsLast);
  }
  // The inverse; `like` is any value with the same leading dimensions.
  at::Tensor value(const at::Tensor& image, at::IntArrayRef like) const {
    if (!takes_rows) return image;
    std::vector<std::int64_t> shape = like.vec();
    shape.back() = image.size(1);
    return pixels_of(image).view(shape);
  }

  std::shared_ptr<const PreparedConv> prepared;
  FusedActivation activation;
  bool takes_rows;
};
using FrozenStepPtr = c10::intrusive_ptr<FrozenStep>;

// LoRA's term: low (N·H'·W', r) times upᵀ, up (out, r). With `down` (r, in), low is x · downᵀ. All are undefined
// without LoRA.
struct LowRankPart {
  at::Tensor low;
  at::Tensor up;
  at::Tensor down;
};

// y = activation(conv(x) + low·upᵀ + bias + residual). If `keeps`, sets `kept` to what the activation's gradient needs.
at::Tensor run_frozen(const FrozenStep& step, const at::Tensor& x, const at::Tensor& residual, const LowRankPart& lora,
                      bool keeps, at::Tensor& kept) {
  const FrozenConv& conv = step.prepared->conv;
  const Epilogue after{step.prepared->bias, residual.defined() ? step.image(residual) : residual, step.activation};
  const bool in_one_pass = !step.activation.active() || !lora.low.defined();
  const at::Tensor image = step.image(x);
  const at::Tensor y = in_one_pass ? conv.forward(image, after, keeps ? &kept : nullptr) : conv.forward(image);
  if (lora.low.defined()) pixels_of(y).addmm_(lora.low, lora.up.t());
  if (!in_one_pass) kept = apply_epilogue_(y, after, keeps);
  return step.value(y, x.sizes());
}

// The gradient to the value of a frozen step, as far as its frozen readers have added to it. Autograd runs a step's
// backward pass after those of all its readers, also of those that return no gradient, because they left it here. The
// sum shares its memory with no other tensor.
struct GradientSum : torch::CustomClassHolder {
  at::Tensor take() { return std::exchange(value, at::Tensor()); }

  at::Tensor value;  // shaped like the step's value; undefined for zero
};
using GradientSumPtr = c10::intrusive_ptr<GradientSum>;

c10::IValue capsule_of(const GradientSumPtr& sum) { return sum ? c10::IValue::make_capsule(sum) : c10::IValue(); }

GradientSumPtr sum_in(const c10::IValue& capsule) {
  return capsule.isNone() ? GradientSumPtr() : c10::static_intrusive_pointer_cast<GradientSum>(capsule.toCapsule());
}

at::Tensor tensor_or_none(const std::optional<at::Tensor>& tensor) { return tensor.value_or(at::Tensor()); }

struct FrozenFunction : torch::autograd::Function<FrozenFunction> {
  using Optional = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, const FrozenStepPtr& step, const at::Tensor& x,
                            const Optional& residual, const Optional& low, const Optional& up, const Optional& down) {
    const LowRankPart lora{tensor_or_none(low), tensor_or_none(up), tensor_or_none(down)};
    at::Tensor kept;
    at::Tensor y = run_frozen(*step, x, tensor_or_none(residual), lora, /*keeps=*/true, kept);
    // Of x and y, only what a factor's gradient needs is saved.
    context->save_for_backward(
        {kept, lora.low, lora.up, lora.down, lora.down.defined() && lora.down.requires_grad() ? x : at::Tensor()});
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    context->saved_data["x"] = x.requires_grad();
    context->saved_data["down"] = lora.down.defined() && lora.down.requires_grad();
    context->saved_data["shape"] = x.sizes();
    context->saved_data["residual"] = residual.has_value() && residual->requires_grad();
    context->saved_data["sum"] = capsule_of(c10::make_intrusive<GradientSum>());
    context->saved_data["x_sum"] = capsule_of(sum_of(x));
    context->saved_data["residual_sum"] = capsule_of(residual ? sum_of(*residual) : GradientSumPtr());
    context->set_materialize_grads(false);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto& data = context->saved_data;
    const auto step = c10::static_intrusive_pointer_cast<FrozenStep>(data["step"].toCapsule());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &kept = saved[0], &low = saved[1], &up = saved[2], &down = saved[3], &x = saved[4];
    variable_list out(6);
    const at::Tensor sum = sum_in(data["sum"])->take();
    if (sum.defined() && grads[0].defined()) sum.add_(grads[0]);
    const at::Tensor total = sum.defined() ? sum : grads[0];
    if (!total.defined()) return out;
    const FrozenConv& conv = step->prepared->conv;
    const std::vector<std::int64_t> shape = data["shape"].toIntVector();
    const at::Tensor after = step->image(total);
    const Pair size = step->takes_rows ? Pair{after.size(2), after.size(3)} : Pair{shape[2], shape[3]};
    const GradientSumPtr x_sum = sum_in(data["x_sum"]);
    const auto image_of_x_sum = [&] {
      const at::Tensor before = x_sum ? x_sum->take() : at::Tensor();
      return before.defined() ? step->image(before) : before;
    };
    const auto return_to_x = [&](const at::Tensor& image) {
      (x_sum ? x_sum->value : out[1]) = step->value(image, shape);
    };
    if (!low.defined() && !data["residual"].toBool()) {  // nothing else reads the gradient before the activation
      return_to_x(conv.input_gradient({after, kept, step->activation, sum.defined()}, size, image_of_x_sum()));
      return out;
    }
    const at::Tensor grad = activation_gradient(after, kept, step->activation, /*overwrites=*/sum.defined());
    at::Tensor low_grad;
    if (low.defined()) {
      const at::Tensor pixels = pixels_of(grad);
      low_grad = thin_product(pixels, up.t());
      out[4] = factor_gradient(low, pixels).t();
    }
    if (!down.defined()) out[3] = low_grad;
    if (data["down"].toBool()) out[5] = factor_gradient(low_grad, pixels_of(step->image(x)));
    if (data["x"].toBool()) {
      const at::Tensor to_input = conv.input_gradient(grad, size, image_of_x_sum());
      if (down.defined()) pixels_of(to_input).addmm_(low_grad, down);
      return_to_x(to_input);
    }
    if (data["residual"].toBool()) {  // last, because `grad` itself may become the sum
      const GradientSumPtr residual_sum = sum_in(data["residual_sum"]);
      const at::Tensor to_residual = step->value(grad, total.sizes());
      const bool is_own = !grads[0].defined() || !grad.is_alias_of(grads[0]);
      if (residual_sum && residual_sum->value.defined()) {
        residual_sum->value.add_(to_residual);
      } else {
        (residual_sum && is_own ? residual_sum->value : out[2]) = to_residual;
      }
    }
    return out;
  }

  // The sum of the gradients to a value; null if no frozen step computed it.
  static GradientSumPtr sum_of(const at::Tensor& value) {
    auto* const step = dynamic_cast<torch::autograd::CppNode<FrozenFunction>*>(value.grad_fn().get());
    return step == nullptr ? GradientSumPtr() : sum_in(step->ctx_.saved_data["sum"]);
  }
};

// Whether each output pixel or row is a product of one input pixel or row with the weight.
bool is_matrix_product(const Op& op) {
  if (std::holds_alternative<Linear>(op)) return true;
  const auto& conv = std::get<Conv2d>(op);
  return conv.kernel == Pair{1, 1} && conv.stride == Pair{1, 1} && conv.padding == Pair{0, 0} && conv.groups == 1;
}

class FusedExecutor final : public StepExecutor {
 public:
  FusedExecutor(const Network& network, const ExecutorOptions& options)
      : StepExecutor(network, options, at::MemoryFormat::ChannelsLast, fuse, /*all_tokens=*/false),
        frozen_(steps().size()) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < steps().size(); ++i) {
      const FusedStep& step = steps()[i];
      if (!step.frozen_layer) continue;
      const bool is_linear = std::holds_alternative<Linear>(network.graph().node(step.first).op);
      frozen_[i] = c10::make_intrusive<FrozenStep>(prepared().conv(network, step, precision()), step, is_linear);
    }
  }

 private:
  at::Tensor run_step(std::size_t index, const Values& values, bool training) override {
    if (frozen_[index]) return run_layer(steps()[index], frozen_[index], values, training);
    return run_fast_node(steps()[index].first, values, training);
  }

  at::Tensor run_layer(const FusedStep& step, const FrozenStepPtr& frozen, const Values& values, bool training) const {
    const Node& node = network().graph().node(step.first);
    const at::Tensor value = read(values, node.inputs[0], step.first);
    const at::Tensor x = frozen->takes_rows ? value.contiguous() : value.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor residual = step.residual ? read(values, *step.residual, step.output) : at::Tensor();
    const LowRankPart lora = low_rank_part(step.first, *frozen, x, training);
    const bool learns = at::GradMode::is_enabled() &&
                        (x.requires_grad() || lora.low.defined() || (residual.defined() && residual.requires_grad()));
    if (learns) {
      return FrozenFunction::apply(frozen, x, optional_tensor(residual), optional_tensor(lora.low),
                                   optional_tensor(lora.up), optional_tensor(lora.down));
    }
    at::Tensor nothing;
    return run_frozen(*frozen, x, residual, lora, /*keeps=*/false, nothing);
  }

  LowRankPart low_rank_part(NodeId id, const FrozenStep& frozen, const at::Tensor& x, bool training) const {
    const LayerAdapter* const adapter = network().adapter(id);
    if (adapter == nullptr) return {};
    const auto layer = adapter->low_rank();  // guaranteed by fuse()
    LowRankPart out;
    out.up = (layer->lora_B.flatten(1) * (frozen.prepared->scale * layer->scaling).unsqueeze(1)).to(precision());
    const Op& op = network().graph().node(id).op;
    if (is_matrix_product(op) && !(training && layer->dropout > 0)) {
      out.down = layer->lora_A.flatten(1).to(x.scalar_type());
      const at::NoGradGuard inside_the_step;
      out.low = thin_product(pixels_of(frozen.image(x)), out.down);
    } else {
      const at::Tensor low = lora_down(*layer, op, x, training);
      out.low = frozen.takes_rows ? low.reshape({-1, low.size(-1)}) : pixels_of(low);
    }
    return out;
  }

  std::vector<FrozenStepPtr> frozen_;  // one per step; null if it is not a frozen layer
};

}  // namespace

std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<FusedExecutor>(network, options);
}

}  // namespace lorikeet
