// Runs frozen layers on uint8 activations and int8 weights. A convolution or Linear includes BatchNorm, residual sum
// and activation, as in the fused executor. A convolution's inputs and outputs have calibrated ranges and stay uint8,
// and max-pooling works on the stored values. A Linear quantizes its inputs row by row. Its output is real (float32 or
// bfloat16), and so is that of a layer with LoRA, whose term is added before the activation. The output layer, all
// other operations and all gradients are real.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "engine/expected_means.h"
#include "engine/frozen_step.h"
#include "engine/int8.h"
#include "engine/step_executor.h"
#include "engine/stored_values.h"
#include "kernels/frozen_conv.h"
#include "kernels/onednn.h"

namespace lorikeet {
namespace {

const std::string& range_name(const Graph& graph, NodeId id) {
  static const std::string kInput = "input";
  return id == 0 ? kInput : graph.node(id).name;
}

Quantization quantization_for(std::pair<float, float> range) {
  const double low = std::min(0.0F, range.first);  // zero must be exact, because it is the padding value
  const double high = std::max(0.0F, range.second);
  const double scale = std::max((high - low) / 255, 1e-12);
  return {scale, static_cast<std::int64_t>(-low / scale + 0.5)};
}

class Int8Executor final : public StepExecutor {
 public:
  Int8Executor(const Network& network, const ExecutorOptions& options, const ActivationRanges& ranges)
      : StepExecutor(network, options, at::MemoryFormat::ChannelsLast, fuse_except_output, /*all_tokens=*/false),
        ranges_(ranges), means_(expected_means(network)), layers_(steps().size()) {
    const Graph& graph = network.graph();
    for (NodeId id = 0; id < graph.nodes().size(); ++id) {
      const auto found = ranges.find(range_name(graph, id));
      quantization_.push_back(found == ranges.end() ? Quantization{} : quantization_for(found->second));
    }
    for (const FusedStep& step : steps()) {
      if (!is_frozen_conv(step)) continue;
      std::vector<NodeId> needed = step.inputs(graph);
      needed.push_back(step.output);
      for (const NodeId id : needed) {
        if (ranges.count(range_name(graph, id)) == 0)
          fail("activation_ranges: got none for '", range_name(graph, id),
               "', expected one. Train the adapter again with precision: int8.");
      }
    }
    for (const FusedStep& step : steps()) {  // pooled values keep the quantization of their input
      if (std::holds_alternative<MaxPool2d>(graph.node(step.output).op))
        quantization_[step.output] = quantization_[graph.node(step.output).inputs[0]];
    }
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < steps().size(); ++i) {
      const FusedStep& step = steps()[i];
      if (!step.frozen_layer) continue;
      Layer& layer = layers_[i];
      if (is_frozen_conv(step)) {
        layer.conv = prepared().int8_conv(network, step, quantization_[graph.node(step.first).inputs[0]]);
      } else {
        layer.linear = prepared().int8_linear(network, step);
      }
      layer.step = c10::make_intrusive<FrozenStep>(prepared().conv(network, step, precision()), step,
                                                   /*is_linear=*/layer.linear != nullptr);
    }
  }

  Frontier run_prefix(const at::Tensor& images) override {
    Frontier out = StepExecutor::run_prefix(images);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = real(plan().frontier[i], out[i]);
    return out;
  }
  const ActivationRanges& activation_ranges() const override { return ranges_; }

 private:
  // A frozen layer: a convolution, whose bias depends on the image size, or a Linear.
  struct Layer {
    FrozenStepPtr step;
    std::shared_ptr<const FrozenInt8Conv> conv;
    std::shared_ptr<const FrozenInt8Linear> linear;
    Pair size{0, 0};
    at::Tensor bias;
  };

  bool is_frozen_conv(const FusedStep& step) const {
    return step.frozen_layer && std::holds_alternative<Conv2d>(network().graph().node(step.first).op);
  }

  at::Tensor real(NodeId id, const at::Tensor& value) const {
    return real_value(value, quantization_[id], precision());
  }
  at::Tensor stored(NodeId id, const at::Tensor& value) const { return stored_value(value, quantization_[id]); }

  at::Tensor run_step(std::size_t index, const Values& values, bool training) override {
    if (layers_[index].step) return run_layer(index, values, training);
    const Node& node = network().graph().node(steps()[index].first);
    const at::Tensor& x = values[node.inputs[0]];
    if (const auto* pool = std::get_if<MaxPool2d>(&node.op); pool != nullptr && x.scalar_type() == at::kByte)
      return max_pooled(x, *pool);
    Values reals(values.size());
    for (const NodeId input : node.inputs) reals[input] = real(input, values[input]);
    return run_fast_node(steps()[index].first, reals, training);
  }

  at::Tensor run_layer(std::size_t index, const Values& values, bool training) {
    const FusedStep& step = steps()[index];
    const Layer& layer = layers_[index];
    const Node& node = network().graph().node(step.first);
    const NodeId input = node.inputs[0];
    const LayerAdapter* const adapter = network().adapter(step.first);
    const at::Tensor value = read(values, input, step.first);
    const at::Tensor x = adapter != nullptr || layer.linear ? real(input, value).contiguous(layout_of(layer)) : value;
    // Autograd keeps no stored value, so a step may overwrite one while training too.
    const bool is_own = owns_residual(index, values);
    const at::Tensor other = residual_of(index, values);
    const LowRankPart lora =
        adapter != nullptr ? low_rank_part(*adapter, node.op, *layer.step, x, training) : LowRankPart();
    return run_frozen_step(layer.step, x, other, lora, [&](at::Tensor* kept) {
      if (layer.conv && !lora.low.defined() && can_store(step, kept != nullptr))
        return run_stored(index, stored(input, value), other, is_own || kept == nullptr, kept);
      const at::Tensor y = layer.linear ? image_of((*layer.linear)(pixels_of(layer.step->image(x)), precision()))
                                        : (*layer.conv)(stored(input, value), precision());
      const at::Tensor summand = other.defined() ? layer.step->image(real(*step.residual, other)) : other;
      finish_step_(y, lora, {bias_for(index, x), summand, step.activation}, kept);
      return layer.step->value(y, x.sizes());
    });
  }

  static at::MemoryFormat layout_of(const Layer& layer) {
    return layer.linear ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  }

  // Whether oneDNN can end with the activation, and the stored output has what its gradient needs.
  static bool can_store(const FusedStep& step, bool keeps) {
    return Int8Conv::can_end_with(step.activation, step.residual.has_value()) &&
           !(keeps && step.activation.smooth != SmoothActivation::kNone);
  }

  at::Tensor run_stored(std::size_t index, const at::Tensor& x, const at::Tensor& other, bool overwrites,
                        at::Tensor* kept) {
    const FusedStep& step = steps()[index];
    const Quantization& q = quantization_[step.output];
    Int8Conv::Sum residual;
    if (step.residual) residual = {stored(*step.residual, other), quantization_[*step.residual], overwrites};
    const at::Tensor y = (*layers_[index].conv)(x, {bias_for(index, x), residual, step.activation, q});
    if (kept == nullptr) return y;
    if (step.activation.active()) *kept = clamp_mask(y, q, step.activation.clamp);
    return stand_in(y, precision());
  }

  // Rounding the weights shifts the outputs' means, most for channels with few weights (depthwise). The bias of a
  // convolution corrects this for the means expected from BatchNorm.
  at::Tensor bias_for(std::size_t index, const at::Tensor& x) {
    Layer& layer = layers_[index];
    const at::Tensor& bias = layer.step->prepared->bias;
    const Node& node = network().graph().node(steps()[index].first);
    const at::Tensor& means = means_[node.inputs[0]];
    if (!layer.conv || !means.defined()) return bias;
    const Pair size{x.size(2), x.size(3)};
    const std::lock_guard lock(mutex_);
    if (layer.size != size) {
      layer.bias = bias + mean_output(std::get<Conv2d>(node.op), layer.conv->rounding_error(), means, size[0], size[1]);
      layer.size = size;
    }
    return layer.bias;
  }

  ActivationRanges ranges_;
  std::vector<Quantization> quantization_;  // one per node
  std::vector<at::Tensor> means_;           // expected means of each node's channels
  std::mutex mutex_;                        // protects the biases
  std::vector<Layer> layers_;               // one per step; empty if it is not a frozen layer
};

}  // namespace

RangeMeter::RangeMeter(const Network& network, const Plan& plan, std::shared_ptr<PreparedBase> prepared) {
  const auto observe = [this, &graph = network.graph()](NodeId id, const at::Tensor& value) {
    // ATen copies what is not contiguous in the order of its axes.
    const auto [low, high] = at::aminmax(value.dim() == 4 ? value.permute({0, 2, 3, 1}) : value);
    const std::pair<float, float> found(low.item<float>(), high.item<float>());
    const auto [known, is_new] = ranges_.emplace(range_name(graph, id), found);
    if (!is_new)
      known->second = {std::min(known->second.first, found.first), std::max(known->second.second, found.second)};
  };
  executor_ = make_fused_executor(network, {.plan = plan, .prepared = std::move(prepared), .observe = observe});
}

std::unique_ptr<Executor> make_int8_executor(const Network& network, const ExecutorOptions& options,
                                             const ActivationRanges& ranges) {
  return std::make_unique<Int8Executor>(network, options, ranges);
}

}  // namespace lorikeet
