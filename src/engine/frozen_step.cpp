#include "engine/frozen_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <utility>
#include <vector>

#include "adapters/lora.h"
#include "kernels/epilogue.h"
#include "kernels/frozen_conv.h"
#include "kernels/thin_product.h"

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradient to the value of a frozen step, as far as its frozen readers have added to it; autograd's sum needs a
// buffer for each. Autograd runs a step's backward pass after those of all its readers, also of those that return no
// gradient, because they left it here. The sum shares its memory with no other tensor.
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

  static at::Tensor forward(AutogradContext* context, const FrozenStepPtr& step, const StepForward& run,
                            const at::Tensor& x, const Optional& residual, const Optional& low, const Optional& up,
                            const Optional& down) {
    at::Tensor kept;
    at::Tensor y = run(&kept);
    const bool down_learns = down.has_value() && down->requires_grad();
    // Of x and y, only what a factor's gradient needs is saved.
    context->save_for_backward(
        {kept, tensor_or_none(low), tensor_or_none(up), tensor_or_none(down), down_learns ? x : at::Tensor()});
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    context->saved_data["x"] = x.requires_grad();
    context->saved_data["down"] = down_learns;
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
    variable_list out(7);
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
      (x_sum ? x_sum->value : out[2]) = step->value(image, shape);
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
      out[5] = factor_gradient(low, pixels).t();
    }
    if (!down.defined()) out[4] = low_grad;
    if (data["down"].toBool()) out[6] = factor_gradient(low_grad, pixels_of(step->image(x)));
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
        (residual_sum && is_own ? residual_sum->value : out[3]) = to_residual;
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

}  // namespace

at::Tensor FrozenStep::image(const at::Tensor& value) const {
  return takes_rows ? image_of(value.reshape({-1, value.size(-1)})) : value.contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor FrozenStep::value(const at::Tensor& image, at::IntArrayRef like) const {
  if (!takes_rows) return image;
  std::vector<std::int64_t> shape = like.vec();
  shape.back() = image.size(1);
  return pixels_of(image).view(shape);
}

LowRankPart low_rank_part(const LayerAdapter& adapter, const Op& op, const FrozenStep& step, const at::Tensor& x,
                          bool training) {
  const auto layer = adapter.low_rank();  // guaranteed by fuse()
  LowRankPart out;
  out.up = (layer->lora_B.flatten(1) * (step.prepared->scale * layer->scaling).unsqueeze(1)).to(x.scalar_type());
  if (is_matrix_product(op) && !(training && layer->dropout > 0)) {
    out.down = layer->lora_A.flatten(1).to(x.scalar_type());
    const at::NoGradGuard inside_the_step;
    out.low = thin_product(pixels_of(step.image(x)), out.down);
  } else {
    const at::Tensor low = lora_down(*layer, op, x, training);
    out.low = step.takes_rows ? low.reshape({-1, low.size(-1)}) : pixels_of(low);
  }
  return out;
}

void finish_step_(const at::Tensor& y, const LowRankPart& lora, const Epilogue& after, at::Tensor* kept) {
  if (lora.low.defined()) pixels_of(y).addmm_(lora.low, lora.up.t());
  const at::Tensor found = apply_epilogue_(y, after, /*keeps=*/kept != nullptr);
  if (kept != nullptr) *kept = found;
}

at::Tensor run_frozen_step(const FrozenStepPtr& step, const at::Tensor& x, const at::Tensor& residual,
                           const LowRankPart& lora, const StepForward& forward) {
  const bool learns = at::GradMode::is_enabled() &&
                      (x.requires_grad() || lora.low.defined() || (residual.defined() && residual.requires_grad()));
  if (!learns) {
    const at::AutoDispatchBelowADInplaceOrView no_views;  // a view holds what it is a view of (residual_of())
    return forward(nullptr);
  }
  return FrozenFunction::apply(step, forward, x, optional_tensor(residual), optional_tensor(lora.low),
                               optional_tensor(lora.up), optional_tensor(lora.down));
}

}  // namespace lorikeet
