#include "engine/memory.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/fusion.h"
#include "engine/token_reads.h"
#include "graph/shapes.h"
#include "kernels/frozen_conv.h"
#include "kernels/head_attention.h"

namespace lorikeet {
namespace {

using Bytes = std::uint64_t;
using Shapes = std::vector<Shape>;

// A batch.
struct Images {
  std::int64_t count;
  Bytes element;  // bytes of one
};

at::TensorOptions options_of(const at::Tensor& weight, Bytes element) {
  return weight.options().dtype(element == 2 ? at::kBFloat16 : at::kFloat);
}

// Bytes of a frozen layer's prepared weights, for the forward pass and for the gradient to its input.
Bytes prepared_bytes(const Network& network, const FusedStep& step, const Shapes& shapes, const Images& images,
                     bool has_gradient) {
  const Node& node = network.graph().node(step.first);
  const auto options = options_of(network.tensors(step.first).weight(), images.element);
  const bool is_linear = std::holds_alternative<Linear>(node.op);
  const auto& in = shapes[node.inputs[0]];
  const Conv2d conv = conv_of(node.op);
  const Pair size = is_linear ? Pair{1, 1} : Pair{in[1], in[2]};
  const auto bytes = [&](ConvDirection direction) {
    return FrozenConv::packed_bytes(conv, options, images.count, size, direction);
  };
  return bytes(ConvDirection::kForward) + (has_gradient ? bytes(ConvDirection::kGradient) : 0);
}

// Simulates the forward and backward pass of a training step.
class Walk {
 public:
  Walk(const Network& network, const Plan& plan, const Shapes& shapes, Bytes element, Bytes batch)
      : network_(network), plan_(plan), steps_(fuse(network, plan)), shapes_(shapes), element_(element), batch_(batch),
        values_(shapes.size()) {
    for (std::size_t id = 0; id < shapes.size(); ++id) values_[id] = batch * element_count(shapes[id]);
  }

  Bytes training_peak() {
    run_forward(/*training=*/true);
    backward();
    return peak_;
  }

  Bytes evaluation_peak() {
    run_forward(/*training=*/false);
    return peak_;
  }

 private:
  bool in_prefix(const FusedStep& step) const { return plan_.segment[step.first] == Segment::kFrozenPrefix; }
  bool has_gradient(NodeId id) const { return !is_frozen(plan_.segment[id]); }

  void note(Bytes passing = 0) { peak_ = std::max(peak_, live_ + kept_ + passing); }

  void run_forward(bool training) {
    live_ = values_[0] * element_;
    forward(/*prefix=*/true, training);  // the frontier stays allocated
    forward(/*prefix=*/false, training);
  }

  void forward(bool prefix, bool training) {
    std::vector<int> left = count_readers(steps_, network_.graph(), plan_, prefix);
    for (const FusedStep& step : steps_) {
      if (in_prefix(step) != prefix) continue;
      const bool is_in_place = overwrites_residual(step, left, training);
      if (!is_in_place) live_ += values_[step.output] * element_;
      note(copied_bytes(step));
      if (training && !prefix) kept_ += kept_bytes(step);
      for (const NodeId input : step.inputs(network_.graph())) {
        if (--left[input] == 0 && !(is_in_place && input == *step.residual)) live_ -= values_[input] * element_;
      }
    }
    note();
  }

  // Whether the step's value takes the memory of its residual; `left` counts the steps that have yet to read each
  // value.
  bool overwrites_residual(const FusedStep& step, const std::vector<int>& left, bool training) const {
    if (!step.residual || left[*step.residual] != 1 || (training && has_gradient(step.output))) return false;
    if (network_.adapter(step.first) != nullptr) return false;
    const auto* conv = std::get_if<Conv2d>(&network_.graph().node(step.first).op);
    return conv == nullptr || strategy_of(step, *conv) == ConvStrategy::kPointwiseGemm;
  }

  // The copy of an input with asymmetric padding, and what a frozen convolution needs. Window attention makes temporary
  // tensors as large as those that it keeps for the backward pass.
  Bytes copied_bytes(const FusedStep& step) const {
    const Node& node = network_.graph().node(step.first);
    if (const auto* attention = std::get_if<WindowAttention>(&node.op)) {
      const OpShapes shapes{shapes_[node.inputs[0]], shapes_[step.output]};
      return batch_ * attention->kept_bytes(shapes, {element_, false});
    }
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (conv == nullptr) return 0;
    const auto& in = shapes_[node.inputs[0]];
    Bytes scratch = 0;
    if (step.frozen_layer) {
      const auto images = static_cast<std::int64_t>(batch_);
      scratch = FrozenConv::scratch_bytes(*conv, frozen_options(step), images, {in[1], in[2]});
    }
    const Padding pad = padding_of(*conv, in[1], in[2]);
    if (pad.symmetric() || (step.frozen_layer && strategy_of(step, *conv) == ConvStrategy::kDepthwise)) return scratch;
    return scratch + batch_ *
                         static_cast<Bytes>(in[0] * (in[1] + pad.top + pad.bottom) * (in[2] + pad.left + pad.right)) *
                         element_;
  }

  at::TensorOptions frozen_options(const FusedStep& step) const {
    return options_of(network_.tensors(step.first).weight(), element_);
  }

  ConvStrategy strategy_of(const FusedStep& step, const Conv2d& conv) const {
    const auto& in = shapes_[network_.graph().node(step.first).inputs[0]];
    return FrozenConv::strategy_for(conv, frozen_options(step), static_cast<std::int64_t>(batch_), {in[1], in[2]});
  }

  // Whether the gradient before the activation is a copy. A depthwise convolution masks what it reads, if nothing else
  // needs it.
  bool copies_gradient(const FusedStep& step) const {
    if (!step.frozen_layer || !step.activation.active()) return false;
    const auto* conv = std::get_if<Conv2d>(&network_.graph().node(step.first).op);
    return conv == nullptr || !step.activation.clamp.active() || step.residual ||
           network_.adapter(step.first) != nullptr || strategy_of(step, *conv) != ConvStrategy::kDepthwise;
  }

  // Bytes that autograd keeps of a step until its gradient is computed.
  Bytes kept_bytes(const FusedStep& step) const {
    if (!has_gradient(step.output)) return 0;
    const Node& node = network_.graph().node(step.first);
    const LayerAdapter* adapter = network_.adapter(step.first);
    Bytes out = 0;
    if (adapter != nullptr) {
      out += static_cast<Bytes>(adapter->kept_weights()) * network_.tensors(step.first).weight().nbytes();
      const auto layer = adapter->low_rank();
      // The input, for the gradient of A or of another method's weight. A may be fixed.
      if (!layer || layer->lora_A.requires_grad()) out += values_[node.inputs[0]] * element_;
      if (layer) out += factor_bytes(*layer);
      if (layer && layer->dropout > 0) out += values_[node.inputs[0]] * element_;  // its mask
      const Shape& shape = shapes_[step.first];
      const auto features = static_cast<Bytes>(std::holds_alternative<Linear>(node.op) ? shape.back() : shape[0]);
      out += layer ? values_[step.first] / features * static_cast<Bytes>(layer->lora_A.size(0)) * element_
                   : values_[step.first] * element_;
    }
    if (step.frozen_layer) return out + activation_bytes(step);
    std::vector<Shape> inputs;
    Bytes input_elements = 0;
    for (const NodeId input : node.inputs) {
      inputs.push_back(shapes_[input]);
      input_elements += values_[input];
    }
    const auto* attention = std::get_if<Attention>(&node.op);
    if (attention != nullptr && element_ == sizeof(float) &&
        has_head_attention(attention->features / attention->heads, token_count(inputs.back())))
      return out + input_elements * element_;  // kernels/attention.h
    return out + batch_ * lorikeet::kept_bytes(node.op, {inputs, shapes_[step.output]},
                                               {element_, network_.is_retrained(step.first)});
  }

  // The two matrices as a step computes them from the learned tensors: A unless it is one of these, and B with its
  // scale.
  Bytes factor_bytes(const LowRank& layer) const {
    const bool computes_A = layer.lora_A.requires_grad() && !layer.lora_A.is_leaf();
    return static_cast<Bytes>(layer.lora_B.numel() + (computes_A ? layer.lora_A.numel() : 0)) * element_;
  }

  // What its activation keeps.
  Bytes activation_bytes(const FusedStep& step) const {
    const Bytes elements = values_[step.output];
    if (step.activation.smooth != SmoothActivation::kNone) return elements * smooth_kept_bytes(element_);
    return step.activation.clamp.active() ? elements / 8 : 0;
  }

  // The gradient to a value, between the passes of its readers and of the step that computed it: what frozen steps
  // added up in place, if a frozen step computed it, and what autograd did.
  struct Gradient {
    bool has_sum = false;
    bool has_other = false;
  };

  // A gradient is allocated at the last reader of a value and freed after the step that computed the value.
  void backward() {
    live_ = 0;
    std::vector<Gradient> gradients(values_.size());
    std::vector<bool> is_frozen_step(values_.size(), false);
    for (const FusedStep& step : steps_) is_frozen_step[step.output] = step.frozen_layer && has_gradient(step.output);
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      if (!has_gradient(step->output)) continue;
      const Bytes own = values_[step->output] * element_;
      Gradient& gradient = gradients[step->output];
      if (!gradient.has_sum && !gradient.has_other) live_ += own;  // of the output
      if (gradient.has_sum && gradient.has_other) live_ -= own;    // they are added
      const bool is_masked = copies_gradient(*step) && !gradient.has_sum;
      Bytes passing = (is_masked ? own : 0) + copied_bytes(*step);
      for (const NodeId input : network_.graph().node(step->first).inputs) {
        if (!has_gradient(input)) continue;
        Gradient& to = gradients[input];
        const bool adds = step->frozen_layer && is_frozen_step[input];
        bool& has = adds ? to.has_sum : to.has_other;
        if (has && !adds) passing += values_[input] * element_;  // a second gradient, to be added
        if (!has) live_ += values_[input] * element_;
        has = true;
      }
      note(passing);
      live_ -= own;
      if (step->residual && has_gradient(*step->residual)) {  // it is the gradient before the activation
        Gradient& to = gradients[*step->residual];
        bool& has = is_frozen_step[*step->residual] && (is_masked || gradient.has_sum) ? to.has_sum : to.has_other;
        if (!has) live_ += own;
        has = true;
      }
      kept_ -= kept_bytes(*step);
    }
  }

  const Network& network_;
  const Plan& plan_;
  std::vector<FusedStep> steps_;
  const Shapes& shapes_;
  Bytes element_;
  Bytes batch_;
  std::vector<Bytes> values_;  // number of elements of each node's value
  Bytes live_ = 0;
  Bytes kept_ = 0;
  Bytes peak_ = 0;
};

}  // namespace

std::int64_t evaluation_batch(const Graph& graph, std::int64_t height, std::int64_t width) {
  constexpr Bytes kBudget = 256ULL << 20;
  constexpr Bytes kMost = 100;
  const auto shapes = infer_shapes(graph, height, width);
  std::vector<int> readers(shapes.size(), 0);
  for (NodeId id = 1; id < shapes.size(); ++id) {
    for (const NodeId input : graph.node(id).inputs) ++readers[input];
  }
  Bytes live = element_count(shapes[0]);
  Bytes peak = live;
  for (NodeId id = 1; id < shapes.size(); ++id) {  // node by node, an upper bound for the fused executor
    live += element_count(shapes[id]);
    peak = std::max(peak, live);
    for (const NodeId input : graph.node(id).inputs) {
      if (--readers[input] == 0) live -= element_count(shapes[input]);
    }
  }
  return static_cast<std::int64_t>(std::clamp<Bytes>(kBudget / (peak * sizeof(float)), 1, kMost));
}

MemoryEstimate estimate_memory(const Network& network, const Plan& plan, const ImageCost& image, std::int64_t batch) {
  const auto shapes = computed_shapes(network.graph(), image.height, image.width);
  MemoryEstimate out;
  std::set<std::string> names;
  for (const auto& parameter : network.graph().parameters()) {
    names.insert(parameter.name);
    out.weights += static_cast<Bytes>(parameter.count()) * sizeof(float);
  }
  for (const auto& [name, tensor] : network.trainable()) {
    out.learning += 3 * tensor.nbytes();
    if (names.count(name) == 0) out.weights += tensor.nbytes();
  }
  out.weights += network.fixed_bytes();
  for (const FusedStep& step : fuse(network, plan)) {
    if (!step.frozen_layer) continue;
    const NodeId input = network.graph().node(step.first).inputs[0];
    out.prepared += prepared_bytes(network, step, shapes, {batch, image.element_size},
                                   /*has_gradient=*/!is_frozen(plan.segment[input]));
  }
  const auto evaluated = static_cast<Bytes>(evaluation_batch(network.graph(), image.height, image.width));
  out.activations = Walk(network, plan, shapes, image.element_size, static_cast<Bytes>(batch)).training_peak();
  out.evaluation = Walk(network, plan, shapes, image.element_size, evaluated).evaluation_peak();
  return out;
}

MemoryEstimate estimate_memory(const Adaptation& adaptation, const ImageCost& image, std::int64_t batch) {
  NamedTensors shapes;  // one element each, expanded to the shape
  for (const auto& parameter : adaptation.graph.parameters())
    shapes.add(parameter.name, at::zeros({}).expand(parameter.shape));
  Adaptation plain = adaptation;
  plain.config.init_lora_weights = LoraStart::kDefault;  // needs the same memory, and no values of the weights
  const Network network(plain, shapes, /*seed=*/0);
  return estimate_memory(network, make_plan(network), image, batch);
}

}  // namespace lorikeet
