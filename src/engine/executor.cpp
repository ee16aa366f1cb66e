#include "engine/executor.h"

#include <ATen/core/grad_mode.h>

#include "engine/step_executor.h"

namespace lorikeet {
namespace {

// float32 uses PyTorch's default layout, so that ATen selects the same kernels and training follows PyTorch step by
// step. Channels-last sums in another order, and twenty steps of AdamW amplify the difference twentyfold.
at::MemoryFormat layout_for(at::ScalarType precision) {
  return precision == at::kFloat ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
}

class PlainExecutor final : public StepExecutor {
 public:
  PlainExecutor(const Network& network, const ExecutorOptions& options)
      : StepExecutor(network, options, layout_for(options.precision), single_steps, /*all_tokens=*/true) {}

 private:
  at::Tensor run_step(std::size_t index, const Values& values, bool training) override {
    return run_node(steps()[index].first, values, training);
  }
};

}  // namespace

const ActivationRanges& Executor::activation_ranges() const {
  static const ActivationRanges kNone;
  return kNone;
}

at::Tensor Executor::predict(const at::Tensor& images) {
  const at::NoGradGuard no_grad;
  return run_suffix(run_prefix(images), /*training=*/false);
}

std::unique_ptr<Executor> make_plain_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<PlainExecutor>(network, options);
}

std::unique_ptr<Executor> make_executor(EngineKind kind, const Network& network, const ExecutorOptions& options) {
  return kind == EngineKind::kPlain ? make_plain_executor(network, options) : make_fused_executor(network, options);
}

}  // namespace lorikeet
