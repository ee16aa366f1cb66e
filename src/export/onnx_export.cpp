#include "export/onnx_export.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "adapters/adapter_folder.h"
#include "base/error.h"
#include "base/json.h"
#include "export/onnx_preprocess.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

using Ints = std::vector<std::int64_t>;

Ints ints(const Pair& pair) { return {pair[0], pair[1]}; }
// ONNX lists the padding of all sides: top, left, bottom, right.
Ints pads(const Pair& padding) { return {padding[0], padding[1], padding[0], padding[1]}; }

// Adds the operators of each node to the model. Every `add` returns the name of the node's value.
class Exporter {
 public:
  // `size` is the image size; 0: dynamic.
  Exporter(const Graph& graph, const NamedTensors& merged, std::int64_t size, OnnxModel& model)
      : graph_(graph), merged_(merged), model_(model) {
    if (size > 0) shapes_ = infer_shapes(graph, size, size);
  }

  // Exports the network for the input value `input` and returns the name of the output.
  std::string run(const std::string& input) {
    values_.resize(graph_.nodes().size());
    for (NodeId id = 0; id < values_.size(); ++id) {
      const Node& node = graph_.node(id);
      name_ = node.name;
      inputs_.clear();
      for (const NodeId from : node.inputs) inputs_.push_back(values_[from].name);
      for (const auto& parameter : graph_.parameters(id)) {
        const bool is_read = !std::holds_alternative<UnusedParameter>(node.op) &&
                             !std::holds_alternative<WindowAttention>(node.op);  // these become constants
        if (is_read) model_.initialisers.add(parameter.name, *merged_.find(parameter.name));
        inputs_.push_back(parameter.name);
        if (parameter.name == node.name) name_ += ".output";  // values and tensors share one namespace
      }
      id_ = id;
      rank_ = node.inputs.empty() ? 4 : values_[node.inputs[0]].rank;
      if (node.inputs.empty()) inputs_ = {input};
      values_[id].name = std::visit([this](const auto& op) { return add(op); }, node.op);
      values_[id].rank = rank_;
    }
    return values_.back().name;
  }

 private:
  struct Value {
    std::string name;
    int rank = 0;  // with the batch dimension
  };

  // Adds the last operator of the node, under the node's name.
  std::string last(const char* op, std::vector<std::string> inputs, std::vector<OnnxAttribute> attributes = {}) {
    model_.nodes.push_back({op, name_, std::move(inputs), std::move(attributes)});
    return name_;
  }
  // Adds the only operator of the node, with all its inputs and parameters.
  std::string single(const char* op, std::vector<OnnxAttribute> attributes = {}) {
    return last(op, inputs_, std::move(attributes));
  }
  // Adds an operator before the last one.
  std::string part(const char* name, const char* op, std::vector<std::string> inputs,
                   std::vector<OnnxAttribute> attributes = {}) {
    model_.nodes.push_back({op, name_ + "." + name, std::move(inputs), std::move(attributes)});
    return model_.nodes.back().output;
  }

  std::string constant(const std::string& name, const at::Tensor& value) {
    if (!model_.initialisers.contains(name)) model_.initialisers.add(name, value);
    return name;
  }
  std::string real(double value) { return constant(cat("constant.", value), at::scalar_tensor(value, at::kFloat)); }
  std::string index(std::int64_t value) {
    return constant(cat("constant.index.", value), at::scalar_tensor(value, at::kLong));
  }
  std::string shape(const Ints& sizes) {
    return constant(cat("constant.shape", at::IntArrayRef(sizes)), at::tensor(sizes, at::kLong));
  }

  static std::vector<OnnxAttribute> along_tokens() { return {{"axis", std::int64_t{1}}}; }

  std::string add(const Input&) { return inputs_[0]; }

  std::string add(const Conv2d& conv) {
    std::vector<OnnxAttribute> attributes{{"kernel_shape", ints(conv.kernel)},
                                          {"strides", ints(conv.stride)},
                                          {"dilations", ints(conv.dilation)},
                                          {"group", conv.groups}};
    attributes.push_back(conv.same_padding ? OnnxAttribute{"auto_pad", "SAME_UPPER"}
                                           : OnnxAttribute{"pads", pads(conv.padding)});
    return single("Conv", std::move(attributes));
  }

  std::string add(const BatchNorm2d& norm) {
    return single("BatchNormalization", {{"epsilon", static_cast<float>(norm.eps)}});
  }
  std::string add(const LayerNorm& norm) {
    return single("LayerNormalization", {{"axis", std::int64_t{-1}}, {"epsilon", static_cast<float>(norm.eps)}});
  }

  std::string add(const LayerNorm2d& norm) {
    const std::string pixels = part("pixels", "Transpose", {inputs_[0]}, {{"perm", Ints{0, 2, 3, 1}}});
    const std::string normed = part("normed", "LayerNormalization", {pixels, inputs_[1], inputs_[2]},
                                    {{"axis", std::int64_t{-1}}, {"epsilon", static_cast<float>(norm.eps)}});
    return last("Transpose", {normed}, {{"perm", Ints{0, 3, 1, 2}}});
  }
  std::string add(const GlobalResponseNorm&) {
    const std::string& x = inputs_[0];
    const std::string norms = part("norms", "ReduceL2", {x}, {{"axes", Ints{1, 2}}});
    const std::string mean = part("mean", "ReduceMean", {norms}, {{"axes", Ints{-1}}});
    const std::string relative = part("relative", "Div", {norms, part("divisor", "Add", {mean, real(1e-6)})});
    const std::string scaled = part("scaled", "Mul", {part("product", "Mul", {x, relative}), inputs_[1]});
    return last("Add", {x, part("shifted", "Add", {scaled, inputs_[2]})});
  }

  std::string add(const Relu&) { return single("Relu"); }
  std::string add(const Relu6&) {
    return last("Clip", {inputs_[0], constant("clip.least", at::scalar_tensor(0, at::kFloat)),
                         constant("clip.greatest", at::scalar_tensor(6, at::kFloat))});
  }
  // Opset 17 has no Gelu: x · (1 + erf(x / √2)) / 2, or with tanh(√(2 / π) · (x + 0.044715 · x³)) instead of erf.
  std::string add(const Gelu& gelu) {
    const std::string& x = inputs_[0];
    std::string sigmoid;
    if (gelu.form == GeluForm::kExact) {
      sigmoid = part("erf", "Erf", {part("scaled", "Div", {x, real(std::numbers::sqrt2)})});
    } else {
      const std::string cube = part("cube", "Mul", {part("square", "Mul", {x, x}), x});
      const std::string sum = part("sum", "Add", {x, part("cubic", "Mul", {cube, real(0.044715)})});
      const double scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
      sigmoid = part("tanh", "Tanh", {part("scaled", "Mul", {sum, real(scale)})});
    }
    const std::string twice = part("twice", "Mul", {x, part("gate", "Add", {sigmoid, real(1)})});
    return last("Mul", {twice, real(0.5)});
  }
  std::string add(const Silu&) { return last("Mul", {inputs_[0], part("sigmoid", "Sigmoid", inputs_)}); }
  std::string add(const Sigmoid&) { return single("Sigmoid"); }
  std::string add(const HardSigmoid&) { return single("HardSigmoid", {{"alpha", 1.0F / 6}, {"beta", 0.5F}}); }
  std::string add(const HardSwish&) { return single("HardSwish"); }
  std::string add(const Add&) { return single("Add"); }
  std::string add(const Multiply&) { return single("Mul"); }
  std::string add(const UnusedParameter&) { return inputs_[0]; }
  std::string add(const LayerScale&) { return single("Mul"); }

  std::string add(const MaxPool2d& pool) {
    return single("MaxPool",
                  {{"kernel_shape", ints(pool.kernel)}, {"strides", ints(pool.stride)}, {"pads", pads(pool.padding)}});
  }
  std::string add(const AvgPool2d& pool) {
    return single("AveragePool", {{"kernel_shape", ints(pool.kernel)},
                                  {"strides", ints(pool.stride)},
                                  {"ceil_mode", std::int64_t{pool.ceil_mode ? 1 : 0}}});
  }
  std::string add(const GlobalAvgPool& pool) {
    if (pool.keepdim) return single("GlobalAveragePool");
    rank_ = 2;
    return last("Flatten", {part("pooled", "GlobalAveragePool", inputs_)}, {{"axis", std::int64_t{1}}});
  }

  // Gemm accepts only matrices.
  std::string add(const Linear& linear) {
    if (rank_ == 2) return single("Gemm", {{"transB", std::int64_t{1}}});
    const std::string transposed = part("transposed", "Transpose", {inputs_[1]}, {{"perm", Ints{1, 0}}});
    if (!linear.bias) return last("MatMul", {inputs_[0], transposed});
    return last("Add", {part("product", "MatMul", {inputs_[0], transposed}), inputs_[2]});
  }

  // Axes 0 to `count` - 1, then `others`, which count from there.
  static Ints axes(std::int64_t count, const Ints& others) {
    Ints out(static_cast<std::size_t>(count));
    std::iota(out.begin(), out.end(), 0);
    for (const std::int64_t axis : others) out.push_back(count + axis);
    return out;
  }
  // The shape for Reshape that keeps `count` axes of its input before `others`.
  std::string keeping(std::int64_t count, const Ints& others) {
    Ints out(static_cast<std::size_t>(count), 0);
    out.insert(out.end(), others.begin(), others.end());
    return shape(out);
  }

  // Queries, keys and values, each (N, …, heads, tokens, features / heads), of one value that contains all three or of
  // three values. `before`: the axes before the features, for Reshape; the last of them is that of the tokens.
  std::vector<std::string> split_heads(const std::vector<std::string>& values, const Ints& before, std::int64_t heads) {
    const auto split = [&](const char* name, const std::string& value, Ints others) {
      others.insert(others.begin(), before.begin(), before.end());
      return part(name, "Reshape", {value, shape(others)});
    };
    const auto groups = static_cast<std::int64_t>(before.size()) - 1;  // axes before the tokens
    std::vector<std::string> out;
    if (values.size() == 1) {
      Ints perm = axes(groups, {2, 0, 3});
      perm.insert(perm.begin(), groups + 1);
      const std::string all = part("heads", "Transpose", {split("split", values[0], {3, heads, -1})}, {{"perm", perm}});
      for (const auto& [name, place] : {std::pair("query", 0), std::pair("key", 1), std::pair("value", 2)})
        out.push_back(part(name, "Gather", {all, index(place)}, {{"axis", std::int64_t{0}}}));
      return out;
    }
    const char* const names[3][2]{{"query_heads", "query"}, {"key_heads", "key"}, {"value_heads", "value"}};
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string value = split(names[i][0], values[i], {heads, -1});
      out.push_back(part(names[i][1], "Transpose", {value}, {{"perm", axes(groups, {1, 0, 2})}}));
    }
    return out;
  }
  std::string key_columns(const std::string& keys, std::int64_t groups) {
    return part("key_columns", "Transpose", {keys}, {{"perm", axes(groups, {0, 2, 1})}});
  }
  // The values mixed by the softmax of the scores, the heads side by side, in the shape `out`.
  std::string mix(const std::string& scores, const std::string& values, std::int64_t groups, const std::string& out) {
    const std::string weights = part("weights", "Softmax", {scores}, {{"axis", std::int64_t{-1}}});
    const std::string mixed = part("mixed", "MatMul", {weights, values});
    return last("Reshape", {part("tokens", "Transpose", {mixed}, {{"perm", axes(groups, {1, 0, 2})}}), out});
  }
  std::string root_of_width(std::int64_t features, std::int64_t heads) {
    const std::int64_t width = features / heads;
    return real(std::sqrt(static_cast<double>(width)));
  }

  std::string add(const Attention& attention) {
    const std::int64_t groups = rank_ - 2;
    const auto qkv = split_heads(inputs_, Ints(static_cast<std::size_t>(groups) + 1, 0), attention.heads);
    const std::string products = part("products", "MatMul", {qkv[0], key_columns(qkv[1], groups)});
    const std::string scores = part("scores", "Div", {products, root_of_width(attention.features, attention.heads)});
    return mix(scores, qkv[2], groups, keeping(groups + 1, {attention.features}));
  }

  // Rows and columns of patches of an image.
  std::string patch_grid(const std::string& image, std::int64_t patch) {
    const std::string sides = part("sides", "Shape", {image}, {{"start", std::int64_t{2}}});
    return part("grid", "Div", {part("raised_sides", "Add", {sides, index(patch - 1)}), index(patch)});
  }
  // Whether the image that a node makes is known to be a multiple of `patch`.
  bool has_whole_patches(NodeId id, std::int64_t patch) const {
    return !shapes_.empty() && shapes_[id][1] % patch == 0 && shapes_[id][2] % patch == 0;
  }
  // The inputs of Resize, which gives an image other sides.
  std::vector<std::string> resized(const std::string& image, const std::string& sides) {
    const std::string channels =
        part("channels", "Shape", {image}, {{"start", std::int64_t{0}}, {"end", std::int64_t{2}}});
    return {image, "", "", part("sizes", "Concat", {channels, sides}, {{"axis", std::int64_t{0}}})};
  }
  std::string add(const UnfoldPatches& unfold) {
    std::string image = inputs_[0];
    if (!has_whole_patches(graph_.node(id_).inputs[0], unfold.patch)) {
      const std::string grid = patch_grid(image, unfold.patch);
      const std::string sides = part("whole_sides", "Mul", {grid, index(unfold.patch)});
      image = part("resized", "Resize", resized(image, sides), {{"mode", "linear"}});
    }
    const std::string depth = part("depth", "SpaceToDepth", {image}, {{"blocksize", unfold.patch}});
    const std::string positions =
        part("positions", "Reshape", {depth, shape({0, unfold.patch * unfold.patch, unfold.features, -1})});
    return last("Transpose", {positions}, {{"perm", Ints{0, 1, 3, 2}}});
  }
  std::string add(const FoldPatches& fold) {
    const std::string positions = part("positions", "Transpose", {inputs_[0]}, {{"perm", Ints{0, 1, 3, 2}}});
    const std::string channels = shape({0, fold.patch * fold.patch * fold.features});
    const std::string sizes =
        part("depth_sizes", "Concat", {channels, patch_grid(inputs_[1], fold.patch)}, {{"axis", std::int64_t{0}}});
    const std::string depth = part("depth", "Reshape", {positions, sizes});
    const std::vector<OnnxAttribute> block{{"blocksize", fold.patch}};
    if (has_whole_patches(graph_.node(id_).inputs[1], fold.patch)) return last("DepthToSpace", {depth}, block);
    const std::string image = part("image", "DepthToSpace", {depth}, block);
    return last("Resize", resized(image, name_ + ".sides"), {{"mode", "linear"}});
  }

  // Windows are a reordering of tokens. The operation itself, applied to the numbers of the tokens from 1, gives the
  // order. Padding has the number 0, that of a token of zeros.
  std::string add(const WindowPartition& partition) {
    if (shapes_.empty()) fail_usage("image size: got none, expected one for windows at ", name_, ".");
    rank_ = 6;
    const Shape& image = shapes_[graph_.node(id_).inputs[0]];
    const std::int64_t tokens = image[0] * image[1], features = image[2];
    const at::Tensor numbers = at::arange(1, tokens + 1, at::kLong).view({1, image[0], image[1], 1});
    const at::Tensor order = partition.forward({}, numbers).flatten();
    std::string flat = part("flat", "Reshape", {inputs_[0], shape({0, tokens, features})});
    flat = part("padded", "Pad", {flat, shape({0, 1, 0, 0, 0, 0})});
    const std::string moved = part("moved", "Gather", {flat, constant(name_ + ".order", order)}, along_tokens());
    return last("Reshape", {moved, keeping(1, shapes_[id_])});
  }
  std::string add(const WindowReverse& reverse) {
    rank_ = 4;
    const Shape& windows = shapes_[graph_.node(id_).inputs[0]];
    const std::int64_t tokens = windows[0] * windows[1] * windows[2] * windows[3], features = windows[4];
    const at::Tensor numbers =
        at::arange(tokens, at::kLong).view({1, windows[0], windows[1], windows[2], windows[3], 1});
    const at::Tensor image = at::empty({1, shapes_[id_][0], shapes_[id_][1], 1});
    const at::Tensor order = reverse.forward({}, {numbers, image}).flatten();
    const std::string flat = part("flat", "Reshape", {inputs_[0], shape({0, tokens, features})});
    const std::string moved = part("moved", "Gather", {flat, constant(name_ + ".order", order)}, along_tokens());
    return last("Reshape", {moved, keeping(1, shapes_[id_])});
  }
  std::string add(const WindowAttention& attention) {
    const Shape& out = shapes_[id_];
    const std::int64_t windows = out[0] * out[1], area = out[2] * out[3], heads = attention.heads;
    const std::size_t values = graph_.node(id_).inputs.size();
    const auto parameter = [&](std::size_t place) { return *merged_.find(inputs_[values + place]); };
    constexpr std::int64_t kGroups = 2;  // the batch and the windows
    std::vector<std::string> projected(inputs_.begin(), inputs_.begin() + (values == 3 ? 3 : 1));
    if (attention.cosine) {
      const at::Tensor bias = attention.used_bias(parameter(1));
      projected[0] = part("biased", "Add", {projected[0], constant(name_ + ".qkv_bias", bias)});
    }
    auto qkv = split_heads(projected, {0, windows, area}, heads);
    const auto unit = [&](const std::string& x, const char* length, const char* divisor, const char* name) {
      const std::string norm = part(length, "ReduceL2", {x}, {{"axes", Ints{-1}}});
      return part(name, "Div", {x, part(divisor, "Max", {norm, real(1e-12)})});
    };
    if (attention.cosine) {
      qkv[0] = unit(qkv[0], "query_length", "query_divisor", "query_unit");
      qkv[1] = unit(qkv[1], "key_length", "key_divisor", "key_unit");
    }
    std::string scores = part("products", "MatMul", {qkv[0], key_columns(qkv[1], kGroups)});
    std::string biases;
    if (attention.cosine) {
      const at::Tensor factor = WindowAttention::scale(parameter(0));
      scores = part("scaled", "Mul", {scores, constant(name_ + ".scale", factor)});
      const at::Tensor pairs = relative_position_index(out[2], out[3]);
      const std::string rows =
          part("bias_rows", "Gather", {inputs_[1], constant(cat("constant.pairs.", out[2], ".", out[3]), pairs)},
               along_tokens());
      const std::string columns = part("bias_columns", "Transpose", {rows}, {{"perm", Ints{0, 2, 1}}});
      const std::string square = part("bias_square", "Reshape", {columns, shape({0, 1, heads, area, area})});
      biases = part("bias", "Mul", {part("bias_sigmoid", "Sigmoid", {square}), real(16)});
    } else {
      scores = part("scaled", "Div", {scores, root_of_width(attention.features, heads)});
      biases = constant(name_ + ".bias", attention.bias(parameter(0), out[2], out[3]));
    }
    scores = part("scores", "Add", {scores, biases});
    if (const at::Tensor mask = attention.mask(out); mask.defined()) {
      const std::string name = cat("constant.mask", at::IntArrayRef(out).slice(0, 4), ".", attention.shift);
      scores = part("masked", "Add", {scores, constant(name, mask.unsqueeze(1))});
    }
    return mix(scores, qkv[2], kGroups, keeping(1, out));
  }
  std::string add(const RelativeCoordinates& coordinates) {
    rank_ = 3;
    const at::Tensor table = coordinates.table().flatten(1, 2);
    const std::string batch =
        part("batch", "Shape", {inputs_[0]}, {{"start", std::int64_t{0}}, {"end", std::int64_t{1}}});
    const std::string sizes =
        part("sizes", "Concat", {batch, shape({table.size(1), table.size(2)})}, {{"axis", std::int64_t{0}}});
    return last("Expand", {constant(cat("constant.coordinates.", coordinates.window), table), sizes});
  }
  std::string add(const MergePatches&) {
    const Shape& in = shapes_[graph_.node(id_).inputs[0]];
    const Shape& out = shapes_[id_];
    std::string x = inputs_[0];
    const std::int64_t odd_rows = in[0] % 2, odd_columns = in[1] % 2;
    if (odd_rows + odd_columns > 0) x = part("padded", "Pad", {x, shape({0, 0, 0, 0, 0, odd_rows, odd_columns, 0})});
    const std::string split = part("split", "Reshape", {x, shape({0, out[0], 2, out[1], 2, in[2]})});
    const std::string beside = part("beside", "Transpose", {split}, {{"perm", Ints{0, 1, 3, 4, 2, 5}}});
    return last("Reshape", {beside, keeping(1, out)});
  }

  std::string add(const PixelsToTokens&) {
    rank_ = 3;
    return last("Transpose", {part("flat", "Reshape", {inputs_[0], shape({0, 0, -1})})}, {{"perm", Ints{0, 2, 1}}});
  }
  std::string add(const PrependTokens& prepend) {
    const std::string batch =
        part("batch", "Shape", {inputs_[0]}, {{"start", std::int64_t{0}}, {"end", std::int64_t{1}}});
    const std::string sizes =
        part("sizes", "Concat", {batch, shape({prepend.count, prepend.features})}, {{"axis", std::int64_t{0}}});
    return last("Concat", {part("repeated", "Expand", {inputs_[1], sizes}), inputs_[0]}, {{"axis", std::int64_t{1}}});
  }
  // For images of another size the interpolated vectors are part of the model.
  std::string add(const PositionEmbedding& embedding) {
    const std::int64_t count = shapes_.empty() ? embedding.tokens : shapes_[id_][0];
    if (count == embedding.tokens) return single("Add");
    const at::Tensor& own = *merged_.find(inputs_[1]);
    return last("Add", {inputs_[0], constant(name_ + ".resampled", embedding.resampled(own, count))});
  }
  std::string add(const MeanTokens& mean) {
    rank_ = 2;
    std::string tokens = inputs_[0];
    if (mean.first > 0) {
      const Ints end{std::numeric_limits<std::int64_t>::max()};
      tokens = part("tokens", "Slice", {tokens, shape({mean.first}), shape(end), shape({1})});
    }
    return last("ReduceMean", {tokens}, {{"axes", Ints{1}}, {"keepdims", std::int64_t{0}}});
  }
  std::string add(const TakeToken& take) {
    rank_ = 2;
    return last("Gather", {inputs_[0], index(take.index)}, {{"axis", std::int64_t{1}}});
  }

  std::string add(const Permute& permute) {
    rank_ = static_cast<int>(permute.dims.size());
    return single("Transpose", {{"perm", permute.dims}});
  }
  std::string add(const Concat& concat) { return single("Concat", {{"axis", concat.dim}}); }

  const Graph& graph_;
  const NamedTensors& merged_;
  OnnxModel& model_;
  std::vector<Shape> shapes_;  // one per node; empty if the image size is dynamic
  std::vector<Value> values_;  // one per node
  // Of the current node: its id, its name, the names of its inputs and parameters, and the rank of its output, which is
  // that of the first input unless add() changes it.
  NodeId id_ = 0;
  std::string name_;
  std::vector<std::string> inputs_;
  int rank_ = 0;
};

OnnxValue image_input(const OnnxExportOptions& options) {
  const OnnxDimension height = options.size > 0 ? OnnxDimension(options.size) : OnnxDimension("H");
  const OnnxDimension width = options.size > 0 ? OnnxDimension(options.size) : OnnxDimension("W");
  if (!options.preprocessing)
    return {"images",
            at::kFloat,
            {"N", std::int64_t{3}, height, width},
            "RGB, normalised as specified by the metadata's preprocessing"};
  return {"images",
          at::kByte,
          {"N", height, width, std::int64_t{3}},
          "RGB, 0 to 255" +
              std::string(options.preprocessing->resize > 0 ? ", of any size" : ", at the network's input size")};
}

// Operator set 17 has no antialiased resize, so position embeddings are interpolated here, for one size; likewise the
// windows of Swin's attention and their masks.
bool has_fixed_size(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const Node& node) {
    return std::holds_alternative<PositionEmbedding>(node.op) || std::holds_alternative<WindowPartition>(node.op);
  });
}

}  // namespace

OnnxModel to_onnx(const Graph& graph, const NamedTensors& merged, const OnnxExportOptions& options) {
  const bool resizes = options.preprocessing && options.preprocessing->resize > 0;
  if (options.size > 0 && !resizes) infer_shapes(graph, options.size, options.size);  // throws if it is too small
  OnnxModel model;
  model.inputs.push_back(image_input(options));
  std::string x = model.inputs[0].name;
  if (options.preprocessing) x = add_preprocessing(model, x, *options.preprocessing);
  Exporter(graph, merged, resizes ? options.preprocessing->crop : options.size, model).run(x);
  model.nodes.back().output = x = "logits";
  if (options.softmax) {
    model.nodes.push_back({"Softmax", "probabilities", {x}, {{"axis", std::int64_t{1}}}});
    x = "probabilities";
  }
  model.outputs.push_back(
      {x, at::kFloat, {"N", output_features(graph)}, "one per class, in the order of the metadata's classes"});
  return model;
}

OnnxModel to_onnx(const LoadedModel& loaded, const OnnxExportOptions& requested) {
  OnnxExportOptions options = requested;
  const bool resizes = options.preprocessing && options.preprocessing->resize > 0;
  if (has_fixed_size(loaded.network.graph()) && options.size == 0 && !resizes) options.size = loaded.preprocessing.crop;
  OnnxModel model = to_onnx(loaded.network.graph(), loaded.network.merged(), options);
  model.name = loaded.entry->name;
  model.producer = "lorikeet";
  model.metadata = {{"classes", json_text(Json(loaded.classes))},
                    {"base_model", loaded.entry->name},
                    {"base_weights", loaded.weights_name},
                    {"base_sha256", loaded.base_sha256.get()},
                    {"preprocessing", json_text(preprocessing_json(loaded.preprocessing))}};
  return model;
}

}  // namespace lorikeet
