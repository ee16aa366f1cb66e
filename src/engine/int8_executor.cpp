// Runs the frozen prefix on uint8 activations and int8 weights. A convolution or Linear includes BatchNorm, residual
// sum and activation, as in the fused executor. A convolution's inputs and outputs have calibrated ranges and stay
// uint8, and max-pooling works on the stored values. A Linear quantizes its float32 inputs row by row and returns
// float32. The output layer and all other operations run in float32. The fused executor runs the rest of the network.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "engine/expected_means.h"
#include "engine/int8.h"
#include "engine/step_executor.h"
#include "graph/shapes.h"
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

at::Tensor quantized(const at::Tensor& real, const Quantization& q) {
  return at::round(real / q.scale)
      .add_(static_cast<double>(q.zero))
      .clamp_(0, 255)
      .to(at::kByte)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor real_of(const at::Tensor& stored, const Quantization& q) {
  return (stored.to(at::kFloat) - static_cast<double>(q.zero)) * q.scale;
}

class Int8Executor final : public StepExecutor {
 public:
  Int8Executor(const Network& network, const ExecutorOptions& options, const ActivationRanges& ranges)
      : StepExecutor(network, options, at::MemoryFormat::ChannelsLast, fuse_except_output, /*all_tokens=*/false),
        ranges_(ranges), rest_(make_fused_executor(network, with_prepared(options))), means_(expected_means(network)),
        convs_(steps().size()), linears_(steps().size()) {
    const Graph& graph = network.graph();
    for (NodeId id = 0; id < graph.nodes().size(); ++id) {
      const auto found = ranges.find(range_name(graph, id));
      quantization_.push_back(found == ranges.end() ? Quantization{} : quantization_for(found->second));
    }
    for (const FusedStep& step : steps()) {
      if (!is_int8_conv(step)) continue;
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
      if (is_int8_conv(step))
        convs_[i].int8 = prepared().int8_conv(network, step, quantization_[graph.node(step.first).inputs[0]]);
      if (is_int8_linear(step)) linears_[i] = {prepared().int8_linear(network, step), folded_bias(step, network)};
    }
  }

  Frontier run_prefix(const at::Tensor& images) override {
    Frontier out = StepExecutor::run_prefix(images);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = real(plan().frontier[i], out[i]).to(precision());
    return out;
  }
  at::Tensor run_suffix(Frontier frontier, bool training) override {
    return rest_->run_suffix(std::move(frontier), training);
  }
  const ActivationRanges& activation_ranges() const override { return ranges_; }

 private:
  // A convolution of the prefix. Its bias depends on the image size.
  struct Conv {
    std::shared_ptr<const FrozenInt8Conv> int8;
    Pair size{0, 0};
    at::Tensor bias;
  };
  struct FrozenLinear {
    std::shared_ptr<const FrozenInt8Linear> int8;
    at::Tensor bias;
  };

  bool is_frozen_prefix(const FusedStep& step) const {
    return step.frozen_layer && plan().segment[step.first] == Segment::kFrozenPrefix;
  }
  bool is_int8_conv(const FusedStep& step) const {
    return is_frozen_prefix(step) && std::holds_alternative<Conv2d>(network().graph().node(step.first).op);
  }
  bool is_int8_linear(const FusedStep& step) const {
    return is_frozen_prefix(step) && std::holds_alternative<Linear>(network().graph().node(step.first).op);
  }

  // The executor of the rest uses the same prepared weights.
  ExecutorOptions with_prepared(ExecutorOptions options) const {
    options.prepared = shared_prepared();
    return options;
  }

  at::Tensor real(NodeId id, const at::Tensor& value) const {
    return value.scalar_type() == at::kByte ? real_of(value, quantization_[id]) : value;
  }
  at::Tensor stored(NodeId id, const at::Tensor& value) const {
    return value.scalar_type() == at::kByte ? value : quantized(value, quantization_[id]);
  }

  at::Tensor run_step(std::size_t index, const Values& values, bool training) override {
    const FusedStep& step = steps()[index];
    const Node& node = network().graph().node(step.first);
    if (convs_[index].int8) return run_conv(index, values);
    if (linears_[index].int8) return run_linear(index, values);
    const at::Tensor& x = values[node.inputs[0]];
    if (const auto* pool = std::get_if<MaxPool2d>(&node.op); pool != nullptr && x.scalar_type() == at::kByte)
      return run_pool(*pool, x);
    Values reals(values.size());
    for (const NodeId input : node.inputs) reals[input] = real(input, values[input]);
    return run_fast_node(step.first, reals, training);
  }

  at::Tensor run_conv(std::size_t index, const Values& values) {
    const FusedStep& step = steps()[index];
    const NodeId input = network().graph().node(step.first).inputs[0];
    const at::Tensor x = stored(input, values[input]);
    const FrozenInt8Conv& conv = *convs_[index].int8;
    const at::Tensor bias = bias_for(index, {x.size(2), x.size(3)});
    if (!Int8Conv::can_end_with(step.activation, step.residual.has_value())) {
      const at::Tensor y = conv(x);
      const at::Tensor other = step.residual ? real(*step.residual, values[*step.residual]) : at::Tensor();
      apply_epilogue_(y, {bias, other, step.activation}, /*keeps=*/false);
      return y;
    }
    Int8Conv::Sum residual;
    if (step.residual) residual = {stored(*step.residual, values[*step.residual]), quantization_[*step.residual]};
    return conv(x, {bias, residual, step.activation, quantization_[step.output]});
  }

  at::Tensor run_linear(std::size_t index, const Values& values) const {
    const FusedStep& step = steps()[index];
    const NodeId input = network().graph().node(step.first).inputs[0];
    Epilogue after{linears_[index].bias, {}, step.activation};
    if (step.residual) after.residual = real(*step.residual, read(values, *step.residual, step.output));
    return (*linears_[index].int8)(real(input, read(values, input, step.first)), after);
  }

  // Rounding the weights shifts the outputs' means, most for channels with few weights (depthwise). The bias corrects
  // this for the means expected from BatchNorm.
  at::Tensor bias_for(std::size_t index, Pair size) {
    const std::lock_guard lock(mutex_);
    Conv& conv = convs_[index];
    if (conv.size == size) return conv.bias;
    const FusedStep& step = steps()[index];
    const Node& node = network().graph().node(step.first);
    conv.bias = folded_bias(step, network());
    conv.size = size;
    if (const at::Tensor& means = means_[node.inputs[0]]; means.defined()) {
      conv.bias += mean_output(std::get<Conv2d>(node.op), conv.int8->rounding_error(), means, size[0], size[1]);
    }
    return conv.bias;
  }

  // Max-pooling of stored values along one axis after the other. ATen has no max-pooling of plain uint8 in
  // channels-last memory.
  static at::Tensor run_pool(const MaxPool2d& pool, const at::Tensor& x) {
    at::Tensor y = at::constant_pad_nd(x, {pool.padding[1], pool.padding[1], pool.padding[0], pool.padding[0]},
                                       0);  // 0: the minimum
    for (const std::int64_t axis : {0, 1}) {
      const std::int64_t count = window_count(y.size(2 + axis), pool.kernel[axis], pool.stride[axis], /*dilation=*/1);
      at::Tensor most;
      for (std::int64_t tap = 0; tap < pool.kernel[axis]; ++tap) {
        const at::Tensor seen = y.slice(2 + axis, tap, tap + (count - 1) * pool.stride[axis] + 1, pool.stride[axis]);
        most = most.defined() ? at::maximum(most, seen) : seen;
      }
      y = most;
    }
    return y.contiguous(at::MemoryFormat::ChannelsLast);
  }

  ActivationRanges ranges_;
  std::unique_ptr<Executor> rest_;
  std::vector<Quantization> quantization_;  // one per node
  std::vector<at::Tensor> means_;           // expected means of each node's channels
  std::mutex mutex_;                        // protects the biases
  std::vector<Conv> convs_;                 // one per step; empty if it is not a convolution of the prefix
  std::vector<FrozenLinear> linears_;       // likewise its Linear layers
};

}  // namespace

RangeMeter::RangeMeter(const Network& network, const Plan& plan, std::shared_ptr<PreparedBase> prepared) {
  const auto observe = [this, &graph = network.graph()](NodeId id, const at::Tensor& value) {
    const auto [low, high] = at::aminmax(value);
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
