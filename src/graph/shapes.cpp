#include "graph/shapes.h"

#include <algorithm>

#include "base/error.h"

namespace lorikeet {
namespace {

using Shape = std::vector<std::int64_t>;

// Checked: an image may be too small for the network.
std::int64_t checked_window_count(std::int64_t size, std::int64_t padding, std::int64_t kernel, std::int64_t stride,
                                  std::int64_t dilation, const std::string& name) {
  const std::int64_t span = (kernel - 1) * dilation + 1;
  if (size + padding < span) {
    fail_usage("image size: got ", size, " pixels at ", name, ", expected at least ", span - padding,
               ". Use larger images.");
  }
  return window_count(size + padding, kernel, stride, dilation);
}

}  // namespace

std::int64_t same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  const std::int64_t outputs = (size + stride - 1) / stride;
  return std::max<std::int64_t>(0, (outputs - 1) * stride + (kernel - 1) * dilation + 1 - size);
}

Padding padding_of(const Conv2d& conv, std::int64_t height, std::int64_t width) {
  if (!conv.same_padding) return {conv.padding[0], conv.padding[0], conv.padding[1], conv.padding[1]};
  const std::int64_t down = same_padding(height, conv.kernel[0], conv.stride[0], conv.dilation[0]);
  const std::int64_t across = same_padding(width, conv.kernel[1], conv.stride[1], conv.dilation[1]);
  return {down / 2, down - down / 2, across / 2, across - across / 2};
}

std::int64_t window_count(std::int64_t padded, std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  return (padded - (kernel - 1) * dilation - 1) / stride + 1;
}

std::vector<Shape> infer_shapes(const Graph& graph, std::int64_t height, std::int64_t width) {
  std::vector<Shape> shapes;
  for (const Node& node : graph.nodes()) {
    const Shape* in = node.inputs.empty() ? nullptr : &shapes[node.inputs[0]];
    shapes.push_back(
        std::visit(Overload{[&](const Input& input) {
                              return Shape{input.channels, height, width};
                            },
                            [&](const Conv2d& conv) {
                              const Padding pad = padding_of(conv, (*in)[1], (*in)[2]);
                              const Pair padding{pad.top + pad.bottom, pad.left + pad.right};
                              Shape out{conv.out};
                              for (std::size_t axis = 0; axis < 2; ++axis) {
                                out.push_back(checked_window_count((*in)[axis + 1], padding[axis], conv.kernel[axis],
                                                                   conv.stride[axis], conv.dilation[axis], node.name));
                              }
                              return out;
                            },
                            [&](const MaxPool2d& pool) {
                              Shape out{(*in)[0]};
                              for (std::size_t axis = 0; axis < 2; ++axis) {
                                out.push_back(checked_window_count((*in)[axis + 1], 2 * pool.padding[axis],
                                                                   pool.kernel[axis], pool.stride[axis], 1, node.name));
                              }
                              return out;
                            },
                            [&](const GlobalAvgPool&) { return Shape{(*in)[0]}; },
                            [&](const Linear& linear) { return Shape{linear.out}; }, [&](const auto&) { return *in; }},
                   node.op));
  }
  return shapes;
}

std::vector<std::int64_t> count_macs(const Graph& graph, std::int64_t height, std::int64_t width) {
  const auto shapes = infer_shapes(graph, height, width);
  std::vector<std::int64_t> macs;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    macs.push_back(std::visit(Overload{[&](const Conv2d& conv) {
                                         return shapes[id][0] * shapes[id][1] * shapes[id][2] *
                                                (conv.in / conv.groups) * conv.kernel[0] * conv.kernel[1];
                                       },
                                       [](const Linear& linear) { return linear.in * linear.out; },
                                       [](const auto&) { return std::int64_t{0}; }},
                              graph.node(id).op));
  }
  return macs;
}

}  // namespace lorikeet
