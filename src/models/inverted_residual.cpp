#include "models/inverted_residual.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace lorikeet {
namespace {

class InvertedBuilder {
 public:
  explicit InvertedBuilder(const InvertedResidualOptions& options) : options_(options) {}

  Graph build() {
    NodeId x = graph_.add("input", Input{3}, {});
    x = conv_norm("conv_stem", "bn1", conv(3, options_.stem, 3, 2), x, options_.stem_activation);
    std::int64_t in = options_.stem;
    each_block(options_, [&](const std::string& name, std::size_t, const InvertedBlock& one) {
      x = block(name, one, in, x);
      in = one.out;
    });
    head(in, x);
    return std::move(graph_);
  }

 private:
  // Symmetric padding, or TensorFlow's where it differs.
  Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
    Conv2d layer = square_conv(in, out, kernel, stride);
    if (options_.same_padding && stride > 1) {
      layer.same_padding = true;
      layer.padding = {0, 0};
    }
    return layer;
  }

  Conv2d depthwise(const InvertedBlock& one, std::int64_t width) {
    Conv2d out = conv(width, width, one.kernel, one.stride);
    out.groups = width;
    out.dilation = {one.dilation, one.dilation};
    out.padding = {out.padding[0] * one.dilation, out.padding[1] * one.dilation};
    return out;
  }

  NodeId norm(const std::string& name, std::int64_t width, NodeId x) {
    return graph_.add(name, BatchNorm2d{width, options_.eps}, {x});
  }

  NodeId conv_norm(const std::string& conv_name, const std::string& norm_name, const Conv2d& layer, NodeId x,
                   const Op& activation) {
    x = norm(norm_name, layer.out, graph_.add(conv_name, layer, {x}));
    return graph_.add(norm_name + ".act", activation, {x});
  }

  NodeId squeeze(const std::string& name, const InvertedBlock& one, std::int64_t width, NodeId input) {
    if (one.squeeze == 0) return input;
    NodeId x = graph_.add(name + ".pool", GlobalAvgPool{true}, {input});
    x = graph_.add(name + ".conv_reduce", Conv2d{.in = width, .out = one.squeeze, .bias = true}, {x});
    x = graph_.add(name + ".act1", options_.squeeze_activation, {x});
    x = graph_.add(name + ".conv_expand", Conv2d{.in = one.squeeze, .out = width, .bias = true}, {x});
    x = graph_.add(name + ".gate", options_.gate, {x});
    return graph_.add(name + ".multiply", Multiply{}, {input, x});
  }

  NodeId block(const std::string& name, const InvertedBlock& one, std::int64_t in, NodeId input) {
    NodeId x = input;
    const auto pointwise = [&](const char* conv_name, const char* norm_name, std::int64_t from) {
      const NodeId product = graph_.add(name + conv_name, conv(from, one.out, 1, 1), {x});
      x = norm(name + norm_name, one.out, product);
    };
    switch (one.kind) {
      case InvertedBlock::Kind::kSeparable:
        x = conv_norm(name + ".conv_dw", name + ".bn1", depthwise(one, in), x, one.activation);
        x = squeeze(name + ".se", one, in, x);
        pointwise(".conv_pw", ".bn2", in);
        break;
      case InvertedBlock::Kind::kInverted:
        x = conv_norm(name + ".conv_pw", name + ".bn1", conv(in, one.hidden, 1, 1), x, one.activation);
        x = conv_norm(name + ".conv_dw", name + ".bn2", depthwise(one, one.hidden), x, one.activation);
        x = squeeze(name + ".se", one, one.hidden, x);
        pointwise(".conv_pwl", ".bn3", one.hidden);
        break;
      case InvertedBlock::Kind::kFused:
        x = conv_norm(name + ".conv_exp", name + ".bn1", conv(in, one.hidden, one.kernel, one.stride), x,
                      one.activation);
        pointwise(".conv_pwl", ".bn2", one.hidden);
        break;
      case InvertedBlock::Kind::kConv:
        x = conv_norm(name + ".conv", name + ".bn1", conv(in, one.out, one.kernel, one.stride), x, one.activation);
        break;
    }
    const bool adds = one.residual && one.stride == 1 && in == one.out;
    return adds ? graph_.add(name + ".add", Add{}, {x, input}) : x;
  }

  void head(std::int64_t in, NodeId x) {
    const std::int64_t width = options_.head_width;
    switch (options_.head) {
      case InvertedResidualOptions::Head::kConv:
        x = conv_norm("conv_head", "bn2", conv(in, width, 1, 1), x, options_.head_activation);
        x = graph_.add("global_pool", GlobalAvgPool{}, {x});
        break;
      case InvertedResidualOptions::Head::kConvOfPooled:
        x = graph_.add("global_pool", GlobalAvgPool{true}, {x});
        x = graph_.add("conv_head", Conv2d{.in = in, .out = width, .bias = true}, {x});
        x = graph_.add("act2", options_.head_activation, {x});
        x = graph_.add("flatten", GlobalAvgPool{}, {x});
        break;
      case InvertedResidualOptions::Head::kLinear:
        x = graph_.add("global_pool", GlobalAvgPool{}, {x});
        x = graph_.add("conv_head", Linear{in, width}, {x});
        x = graph_.add("act2", options_.head_activation, {x});
        break;
    }
    graph_.add("classifier", Linear{width, options_.classes}, {x});
  }

  const InvertedResidualOptions& options_;
  Graph graph_;
};

}  // namespace

Graph build_inverted_residual(const InvertedResidualOptions& options) { return InvertedBuilder(options).build(); }

std::int64_t make_divisible(double value, std::int64_t divisor, std::int64_t least) {
  const auto nearest = static_cast<std::int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor;
  const std::int64_t rounded = std::max(least, nearest);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

}  // namespace lorikeet
