#include "engine/expected_means.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <numbers>

#include "engine/fusion.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

// Mean and variance of each channel, (C,) float64; undefined if unknown.
struct Moments {
  at::Tensor mean;
  at::Tensor variance;
};

at::Tensor density(const at::Tensor& z) { return at::exp(z * z * -0.5) / std::sqrt(2 * std::numbers::pi); }
at::Tensor probability_below(const at::Tensor& z) { return at::erf(z / std::numbers::sqrt2) * 0.5 + 0.5; }

// The moments of a normal distribution clamped to [0, high].
Moments clamped(const Moments& x, double high) {
  const at::Tensor deviation = at::sqrt(x.variance).clamp_min(1e-12);
  const at::Tensor low_z = -x.mean / deviation;
  const at::Tensor high_z = (high - x.mean) / deviation;  // may be infinite
  const at::Tensor inside = probability_below(high_z) - probability_below(low_z);
  at::Tensor mean = x.mean * inside + deviation * (density(low_z) - density(high_z));
  at::Tensor square = (x.mean * x.mean + x.variance) * inside +
                      deviation * x.mean * (density(low_z) - density(high_z)) * 2 + x.variance * low_z * density(low_z);
  if (std::isfinite(high)) {
    const at::Tensor above = 1 - probability_below(high_z);
    mean = mean + above * high;
    square = square - x.variance * high_z * density(high_z) + above * (high * high);
  }
  return {mean, (square - mean * mean).clamp_min(0)};
}

Moments moments_of(const Node& node, const NodeTensors& tensors, const std::vector<Moments>& values) {
  const auto input = [&](std::size_t i) -> const Moments& { return values[node.inputs[i]]; };
  if (const auto activation = activation_of(node.op); activation && activation->clamp.active())
    return input(0).mean.defined() ? clamped(input(0), activation->clamp.high) : Moments{};  // all clamps start at 0
  return std::visit(
      Overload{
          [&](const BatchNorm2d&) {
            return Moments{tensors.bias().to(at::kDouble), at::square(tensors.weight().to(at::kDouble))};
          },
          [&](const Add&) {
            if (!input(0).mean.defined() || !input(1).mean.defined()) return Moments{};
            return Moments{input(0).mean + input(1).mean, input(0).variance + input(1).variance};
          },
          [&](const MaxPool2d&) { return input(0); },  // slightly underestimated
          [&](const OneOf<Input, Conv2d, LayerNorm, LayerNorm2d, GlobalResponseNorm, Relu, Relu6, Gelu, Silu, Sigmoid,
                          HardSigmoid, HardSwish, Multiply, UnusedParameter, LayerScale, AvgPool2d, GlobalAvgPool,
                          Linear, Attention, PixelsToTokens, PrependTokens, PositionEmbedding, TakeToken, MeanTokens,
                          Permute, Concat, WindowPartition, WindowReverse, WindowAttention, RelativeCoordinates,
                          MergePatches, UnfoldPatches, FoldPatches> auto&) { return Moments{}; },
      },
      node.op);
}

// For each tap of the kernel along one axis, the fraction of output positions at which it lies inside the image:
// (taps,).
at::Tensor share_inside(std::int64_t size, std::int64_t before, std::int64_t after, std::int64_t taps,
                        std::int64_t stride, std::int64_t dilation) {
  const at::Tensor first = at::arange(window_count(before + size + after, taps, stride, dilation), at::kLong)
                               .mul_(stride)
                               .sub_(before)
                               .view({-1, 1});
  const at::Tensor seen = first + at::arange(taps, at::kLong).mul_(dilation);
  return at::logical_and(seen >= 0, seen < size).to(at::kFloat).mean(0);
}

}  // namespace

at::Tensor mean_output(const Conv2d& conv, const at::Tensor& weight, const at::Tensor& means, std::int64_t height,
                       std::int64_t width) {
  const Padding pad = padding_of(conv, height, width);
  const at::Tensor rows = share_inside(height, pad.top, pad.bottom, conv.kernel[0], conv.stride[0], conv.dilation[0]);
  const at::Tensor columns = share_inside(width, pad.left, pad.right, conv.kernel[1], conv.stride[1], conv.dilation[1]);
  const at::Tensor a_channel =
      (weight * rows.view({-1, 1}) * columns).sum({2, 3}).view({conv.groups, conv.out / conv.groups, -1});
  return at::matmul(a_channel, means.view({conv.groups, -1, 1})).view(-1);
}

std::vector<at::Tensor> expected_means(const Network& network) {
  const auto& nodes = network.graph().nodes();
  std::vector<Moments> moments(nodes.size());
  std::vector<at::Tensor> out(nodes.size());
  for (NodeId id = 1; id < nodes.size(); ++id) {
    moments[id] = moments_of(nodes[id], network.tensors(id), moments);
    if (moments[id].mean.defined()) out[id] = moments[id].mean.to(at::kFloat);
  }
  return out;
}

}  // namespace lorikeet
