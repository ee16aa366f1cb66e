// The fast executor. Frozen convolutions and Linear layers run as fused steps (engine/fusion.h, engine/frozen_step.h),
// convolutions in channels-last memory with BatchNorm folded into their weights (engine/prepared_base.h). LoRA joins
// the step of its layer: its term is added before the activation, and on a Linear or a 1×1 convolution its gradient to
// the input is added to that of the layer. Attention in float32 uses kernels/attention.h. Everything else uses ATen's
// operators and autograd, as in the plain executor.
#include <ATen/core/grad_mode.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/frozen_step.h"
#include "engine/fusion.h"
#include "engine/prepared_base.h"
#include "engine/step_executor.h"
#include "kernels/frozen_conv.h"

namespace lorikeet {
namespace {

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
    if (frozen_[index]) return run_layer(index, values, training);
    return run_fast_node(steps()[index].first, values, training);
  }

  at::Tensor run_layer(std::size_t index, const Values& values, bool training) const {
    const FusedStep& step = steps()[index];
    const FrozenStepPtr& frozen = frozen_[index];
    const Node& node = network().graph().node(step.first);
    const at::Tensor value = read(values, node.inputs[0], step.first);
    const at::Tensor x = frozen->takes_rows ? value.contiguous() : value.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor residual = residual_of(index, values);
    const LayerAdapter* const adapter = network().adapter(step.first);
    const LowRankPart lora = adapter ? low_rank_part(*adapter, node.op, *frozen, x, training) : LowRankPart();
    return run_frozen_step(frozen, x, residual, lora, [&](at::Tensor* kept) {
      const FrozenConv& conv = frozen->prepared->conv;
      const at::Tensor image = frozen->image(x);
      const at::Tensor summand = residual.defined() ? frozen->image(residual) : residual;
      const Epilogue after{frozen->prepared->bias, summand, step.activation};
      if (kept == nullptr && summand.defined() && !lora.low.defined())
        return frozen->value(conv.forward_over_residual(image, after), x.sizes());
      const bool in_one_pass = !step.activation.active() || !lora.low.defined();
      const at::Tensor y = in_one_pass ? conv.forward(image, after, kept) : conv.forward(image);
      if (!in_one_pass) finish_step_(y, lora, after, kept);
      if (in_one_pass && lora.low.defined()) pixels_of(y).addmm_(lora.low, lora.up.t());
      return frozen->value(y, x.sizes());
    });
  }

  std::vector<FrozenStepPtr> frozen_;  // one per step; null if it is not a frozen layer
};

}  // namespace

std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<FusedExecutor>(network, options);
}

}  // namespace lorikeet
