// The structure of exported models. tests/reference/export_test.py, which has onnxruntime, checks their results.
#include "export/onnx_export.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <set>

#include "engine/small_networks.h"
#include "export/state_dict.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

OnnxModel exported(const OnnxExportOptions& options = {}) {
  const Network network = trained_network(full_spec());
  return to_onnx(network.graph(), network.merged(), options);
}

// Every name is made once, before it is used, and used.
void check_names(const OnnxModel& model) {
  std::set<std::string> made, used;
  for (const auto& input : model.inputs) made.insert(input.name);
  for (const auto& [name, tensor] : model.initialisers) CHECK(made.insert(name).second);
  for (const auto& node : model.nodes) {
    CAPTURE(node.output);
    for (const auto& input : node.inputs) {
      CHECK((input.empty() || made.contains(input)));
      used.insert(input);
    }
    CHECK(made.insert(node.output).second);
  }
  for (const auto& output : model.outputs) used.insert(output.name);
  for (const auto& name : made) CHECK_MESSAGE(used.contains(name), name);
}

std::size_t count(const OnnxModel& model, const std::string& op) {
  std::size_t out = 0;
  for (const auto& node : model.nodes) out += node.op == op ? 1 : 0;
  return out;
}

}  // namespace

TEST_CASE("every node becomes an operator under its name, with its tensors under theirs") {
  const OnnxModel model = exported();
  check_names(model);
  CHECK(count(model, "Conv") == 10);
  CHECK(count(model, "BatchNormalization") == 10);
  CHECK(count(model, "Add") == 3);
  CHECK(count(model, "Gemm") == 3);
  CHECK(model.nodes[0].inputs == std::vector<std::string>{"images", "conv1.weight"});
  CHECK(model.nodes.back().output == "logits");
  const Network network = trained_network(full_spec());
  for (const auto& [name, tensor] : network.merged()) CHECK(at::equal(*model.initialisers.find(name), tensor));
}

TEST_CASE("with preprocessing and SoftMax the names still hang together") {
  for (const Preprocessing& preprocessing :
       {Preprocessing{}, Preprocessing{.resize = 20}, Preprocessing{.resize = 20, .crop = 16},
        Preprocessing{.resize = 20, .crop = 20, .interpolation = Interpolation::kBicubic}}) {
    const OnnxModel model = exported({.preprocessing = preprocessing, .softmax = true});
    check_names(model);
    CHECK(count(model, "MatMul") == (preprocessing.resize > 0 ? 2 : 0));
    CHECK((model.inputs[0].type == at::kByte));
    CHECK(model.outputs[0].name == "probabilities");
  }
}

TEST_CASE("a transformer's names hang together too, and its tensors keep theirs") {
  const Network network(small_vit(), random_weights(small_vit(), 1));
  const OnnxModel model = to_onnx(network.graph(), network.merged(), OnnxExportOptions{.softmax = true});
  check_names(model);
  CHECK(count(model, "LayerNormalization") == 5);
  CHECK(count(model, "Gemm") == 1);
  CHECK(count(model, "MatMul") == 2 * (4 + 2));
  for (const auto& [name, tensor] : network.merged()) CHECK(at::equal(*model.initialisers.find(name), tensor));
}

TEST_CASE("patches are resized in the exported model unless its size makes them whole") {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  const NodeId patches = graph.add("unfold", UnfoldPatches{3, 2}, {x});
  x = graph.add("fold", FoldPatches{3, 2}, {graph.add("attn", Attention{3, 1}, {patches, patches, patches}), x});
  graph.add("fc", Linear{3, 2}, {graph.add("pool", GlobalAvgPool{}, {x})});
  const NamedTensors weights = random_weights(graph, 1);
  for (const auto& [size, resizes] : {std::pair(0, 2), std::pair(7, 2), std::pair(8, 0)}) {
    const OnnxModel model = to_onnx(graph, weights, {.size = size});
    check_names(model);
    CHECK(count(model, "Resize") == resizes);
  }
}

TEST_CASE("a crop that does not fit and a size that is too small are wrong calls") {
  CHECK(refusal<UsageError>([] { exported({.preprocessing = Preprocessing{.resize = 16, .crop = 20}}); }) ==
        has("expected one that fits inside"));
  CHECK(refusal<UsageError>([] { exported({.preprocessing = Preprocessing{.crop = 20}}); }) == has("resized to 0"));
  Graph graph;
  const NodeId x = graph.add("conv", Conv2d{.in = 3, .out = 2, .kernel = {7, 7}}, {graph.add("input", Input{3}, {})});
  graph.add("fc", Linear{2, 2}, {graph.add("avgpool", GlobalAvgPool{}, {x})});
  CHECK(refusal<UsageError>([&] { to_onnx(graph, random_weights(graph, 1), {.size = 6}); }) ==
        has("expected at least 7"));
  CHECK(to_onnx(graph, random_weights(graph, 1), {.size = 7}).nodes.size() == 4);
}

TEST_CASE("windows are exported for one image size") {
  Graph graph;
  const WindowPartition partition{4, 2};
  NodeId x = graph.add("image", channels_last_axes(), {graph.add("input", Input{3}, {})});
  const NodeId windows = graph.add("windows", partition, {x});
  x = graph.add("reverse", WindowReverse{partition}, {graph.add("attn", WindowAttention{1, 1, 4, 2}, {windows}), x});
  x = graph.add("merge", MergePatches{}, {x});
  x = graph.add("pool", GlobalAvgPool{}, {graph.add("back", channels_first_axes(), {x})});
  graph.add("fc", Linear{4, 2}, {x});
  const NamedTensors weights = random_weights(graph, 1);
  check_names(to_onnx(graph, weights, {.size = 11}));
  CHECK(refusal<UsageError>([&] { to_onnx(graph, weights, {}); }) == has("expected one for windows at windows"));
}

TEST_CASE("a state dict has the buffers of window attention where its library saves them") {
  const auto saved = [](const WindowAttention& attention) {
    Graph graph;
    NodeId x = graph.add("windows", WindowPartition{2}, {graph.add("input", Input{3}, {})});
    std::vector<NodeId> inputs{x};
    if (attention.cosine) inputs.push_back(graph.add("coordinates", RelativeCoordinates{2}, {x}));
    graph.add("fc", Linear{1, 2}, {graph.add("attn", attention, inputs)});
    std::string out;
    for (const auto& [name, tensor] : state_dict(Network(graph, random_weights(graph, 1)))) out += name + " ";
    return out;
  };
  CHECK(saved({1, 1, 2, 0, false, false}) == "attn.relative_position_bias_table fc.weight fc.bias ");
  CHECK(saved({1, 1, 2, 0, false, true}) ==
        "attn.relative_position_bias_table attn.relative_position_index fc.weight fc.bias ");
  CHECK(saved({1, 1, 2, 0, true, true}) ==
        "attn.logit_scale attn.relative_coords_table attn.relative_position_index attn.qkv.bias fc.weight fc.bias ");
}

TEST_CASE("a state dict has the merged tensors, and a counter after each BatchNorm") {
  const Network network = trained_network(full_spec());
  const NamedTensors merged = network.merged(), out = state_dict(network);
  CHECK(out.size() == merged.size() + 10);
  std::string before;
  for (const auto& [name, tensor] : out) {
    if (name.ends_with(".num_batches_tracked")) {
      CHECK(before == name.substr(0, name.rfind('.')) + ".running_var");
      CHECK((tensor.scalar_type() == at::kLong && tensor.dim() == 0));
    } else {
      CHECK(at::equal(tensor, *merged.find(name)));
    }
    before = name;
  }
  CHECK(out.contains("head.1.bias"));
}
