#include "export/onnx_export.h"

#include <ATen/Functions.h>

#include "adapters/adapter_folder.h"
#include "base/json.h"
#include "export/onnx_preprocess.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

using Ints = std::vector<std::int64_t>;

Ints ints(const Pair& pair) { return {pair[0], pair[1]}; }
// ONNX names the padding of all sides: top, left, bottom, right.
Ints pads(const Pair& padding) { return {padding[0], padding[1], padding[0], padding[1]}; }

class Exporter {
 public:
  Exporter(const Graph& graph, const NamedTensors& merged, OnnxModel& model)
      : graph_(graph), merged_(merged), model_(model) {}

  // The value named `input` goes into the network; gives the name of the output.
  std::string run(const std::string& input) {
    values_.resize(graph_.nodes().size());
    for (NodeId id = 0; id < values_.size(); ++id) values_[id] = add_node(id, input);
    return values_.back();
  }

 private:
  std::string add_node(NodeId id, const std::string& input) {
    const Node& node = graph_.node(id);
    std::vector<std::string> inputs;
    for (const NodeId from : node.inputs) inputs.push_back(values_[from]);
    for (const auto& parameter : graph_.parameters(id)) {
      model_.initialisers.add(parameter.name, *merged_.find(parameter.name));
      inputs.push_back(parameter.name);
    }
    const auto add = [&](const char* op, std::vector<OnnxAttribute> attributes = {}) {
      model_.nodes.push_back({op, node.name, inputs, std::move(attributes)});
      return node.name;
    };
    return std::visit(Overload{[&](const Input&) { return input; },
                               [&](const Conv2d& conv) {
                                 std::vector<OnnxAttribute> attributes{{"kernel_shape", ints(conv.kernel)},
                                                                       {"strides", ints(conv.stride)},
                                                                       {"dilations", ints(conv.dilation)},
                                                                       {"group", conv.groups}};
                                 attributes.push_back(conv.same_padding ? OnnxAttribute{"auto_pad", "SAME_UPPER"}
                                                                        : OnnxAttribute{"pads", pads(conv.padding)});
                                 return add("Conv", std::move(attributes));
                               },
                               [&](const BatchNorm2d& norm) {
                                 return add("BatchNormalization", {{"epsilon", static_cast<float>(norm.eps)}});
                               },
                               [&](const Relu&) { return add("Relu"); },
                               [&](const Relu6&) {
                                 inputs.insert(inputs.end(), {bound("clip.least", 0), bound("clip.greatest", 6)});
                                 return add("Clip");
                               },
                               [&](const Add&) { return add("Add"); },
                               [&](const MaxPool2d& pool) {
                                 return add("MaxPool", {{"kernel_shape", ints(pool.kernel)},
                                                        {"strides", ints(pool.stride)},
                                                        {"pads", pads(pool.padding)}});
                               },
                               [&](const GlobalAvgPool&) {
                                 const std::string pooled = node.name + ".pooled";
                                 model_.nodes.push_back({"GlobalAveragePool", pooled, inputs, {}});
                                 inputs = {pooled};
                                 return add("Flatten", {{"axis", std::int64_t{1}}});
                               },
                               [&](const Linear&) {
                                 return add("Gemm", {{"transB", std::int64_t{1}}});
                               }},
                      node.op);
  }

  std::string bound(const char* name, float value) {
    if (!model_.initialisers.contains(name)) model_.initialisers.add(name, at::scalar_tensor(value, at::kFloat));
    return name;
  }

  const Graph& graph_;
  const NamedTensors& merged_;
  OnnxModel& model_;
  std::vector<std::string> values_;
};

OnnxValue image_input(const OnnxExportOptions& options) {
  const OnnxDimension height = options.size > 0 ? OnnxDimension(options.size) : OnnxDimension("H");
  const OnnxDimension width = options.size > 0 ? OnnxDimension(options.size) : OnnxDimension("W");
  if (!options.preprocessing)
    return {"images",
            at::kFloat,
            {"N", std::int64_t{3}, height, width},
            "RGB, normalised as the metadata's preprocessing says"};
  return {"images",
          at::kByte,
          {"N", height, width, std::int64_t{3}},
          "RGB, 0 to 255" +
              std::string(options.preprocessing->resize > 0 ? ", of any size" : ", at the size for the network")};
}

}  // namespace

OnnxModel to_onnx(const Graph& graph, const NamedTensors& merged, const OnnxExportOptions& options) {
  const bool resizes = options.preprocessing && options.preprocessing->resize > 0;
  if (options.size > 0 && !resizes) infer_shapes(graph, options.size, options.size);  // throws where it is too small
  OnnxModel model;
  model.inputs.push_back(image_input(options));
  std::string x = model.inputs[0].name;
  if (options.preprocessing) x = add_preprocessing(model, x, *options.preprocessing);
  Exporter(graph, merged, model).run(x);
  model.nodes.back().output = x = "logits";
  if (options.softmax) {
    model.nodes.push_back({"Softmax", "probabilities", {x}, {{"axis", std::int64_t{1}}}});
    x = "probabilities";
  }
  model.outputs.push_back(
      {x, at::kFloat, {"N", output_features(graph)}, "one a class, in the order of the metadata's classes"});
  return model;
}

OnnxModel to_onnx(const LoadedModel& loaded, const OnnxExportOptions& options) {
  OnnxModel model = to_onnx(loaded.network.graph(), loaded.network.merged(), options);
  model.name = loaded.model_name;
  model.producer = "lorikeet";
  model.metadata = {{"classes", Json(loaded.classes).dump()},
                    {"base_model", loaded.model_name},
                    {"base_weights", loaded.weights_name},
                    {"base_sha256", loaded.base_sha256.get()},
                    {"preprocessing", preprocessing_json(loaded.preprocessing).dump()}};
  return model;
}

}  // namespace lorikeet
