#include "adapters/target_sets.h"

#include <doctest/doctest.h>

#include "adapters/matching.h"
#include "base/text.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

using NameList = std::vector<std::string>;

AdapterConfig with_set(const std::string& name) {
  AdapterConfig config;
  config.target_modules = name;
  return config;
}

// What target_modules becomes, as text.
std::string expanded(const Graph& graph, AdapterConfig config) {
  expand_target_set(graph, config);
  const auto* names = std::get_if<NameList>(&config.target_modules);
  return names != nullptr ? join(*names, " ") : "/" + std::get<std::string>(config.target_modules) + "/";
}

std::string automatic(const Graph& graph) { return expanded(graph, with_set("auto")); }

// Linear layers on a map of features, without attention.
Graph linear_on_maps() {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("stem", Conv2d{.in = 3, .out = 8, .kernel = {4, 4}, .stride = {4, 4}}, {x});
  x = graph.add("tokens", PixelsToTokens{}, {x});
  x = graph.add("mlp.fc1", Linear{8, 16}, {x});
  x = graph.add("mlp.fc2", Linear{16, 8}, {graph.add("mlp.act", Gelu{}, {x})});
  x = graph.add("pool", TakeToken{}, {x});
  x = graph.add("pre_head", Linear{8, 8}, {x});  // of an image, not of a map
  graph.add("head", Linear{8, 5}, {x});
  return graph;
}

// Two stages; the second has 1×1 convolutions, a squeeze-and-excitation as MobileNetV3 has among them.
Graph pointwise_stages() {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("a.conv", Conv2d{.in = 3, .out = 8}, {x});
  x = graph.add("b.down", Conv2d{.in = 8, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {x});
  x = graph.add("b.expand", Conv2d{.in = 8, .out = 16}, {x});
  x = graph.add("b.depthwise", Conv2d{.in = 16, .out = 16, .kernel = {3, 3}, .padding = {1, 1}, .groups = 16}, {x});
  x = graph.add("b.project", Conv2d{.in = 16, .out = 8}, {x});
  graph.add("fc", Linear{8, 5}, {graph.add("pool", GlobalAvgPool{}, {x})});
  return graph;
}

}  // namespace

TEST_CASE("a set is named in any case; other texts are expressions") {
  CHECK((target_set(std::string("All-Linear")) == TargetSet::kAllLinear));
  CHECK((target_set(std::string("all-conv")) == TargetSet::kAllConv));
  CHECK((target_set(std::string("AUTO")) == TargetSet::kAuto));
  CHECK_FALSE(target_set(std::string("all-linears")).has_value());
  CHECK_FALSE(target_set(NameList{"auto"}).has_value());
  CHECK_FALSE(target_set({}).has_value());
}

TEST_CASE("auto takes the projections of window attention, not its biases") {
  const auto chosen = [](bool cosine) {
    Graph graph;
    NodeId x = graph.add("image", channels_last_axes(), {graph.add("input", Input{6}, {})});
    const NodeId windows = graph.add("windows", WindowPartition{2}, {x});
    std::vector<NodeId> inputs{graph.add("qkv", Linear{6, 18, !cosine}, {windows})};
    if (cosine)
      inputs.push_back(graph.add("cpb", Linear{2, 2}, {graph.add("places", RelativeCoordinates{2}, {windows})}));
    x = graph.add("attn", WindowAttention{6, 2, 2, 0, cosine}, inputs);
    graph.add("head", Linear{6, 5}, {graph.add("proj", Linear{6, 6}, {x})});
    return automatic(graph);
  };
  CHECK(chosen(false) == "qkv");
  CHECK(chosen(true) == "qkv");
}

TEST_CASE("a set becomes the list of its modules, less those that are excluded or retrained") {
  AdapterConfig config = with_set("all-conv");
  CHECK(expanded(pointwise_stages(), config) == "a.conv b.down b.expand b.depthwise b.project");
  config.exclude_modules = NameList{"down"};
  config.modules_to_save = {"a"};
  CHECK(expanded(pointwise_stages(), config) == "b.expand b.depthwise b.project");
  CHECK(expanded(pointwise_stages(), with_set("all-linear")) == "fc");
  AdapterConfig plain = with_set("b.*");
  CHECK(expand_target_set(pointwise_stages(), plain).empty());
  CHECK((plain.target_modules == ModulePattern(std::string("b.*"))));
  config.modules_to_save = {"a", "b"};
  CHECK_THROWS_AS(expand_target_set(pointwise_stages(), config), UsageError);
}

TEST_CASE("it becomes an expression where PEFT would take an entry of the list for the end of another name") {
  const Graph graph = conv_chain({"conv", "a.conv", "b.cd"});
  AdapterConfig config = with_set("all-conv");
  CHECK(expanded(graph, config) == "conv a.conv b.cd");
  config.exclude_modules = NameList{"a.conv"};
  CHECK(expanded(graph, config) == R"(/conv|b\.cd/)");
  expand_target_set(graph, config);
  CHECK(match_modules(graph, config).targets.size() == 2);
}

TEST_CASE("auto takes the packed projections of a transformer's attention, or its queries and values") {
  CHECK(automatic(small_vit()) == "blocks.0.attn.qkv blocks.1.attn.qkv");
  CHECK(automatic(small_torchvision_vit()) ==
        "encoder.layers.encoder_layer_0.self_attention encoder.layers.encoder_layer_1.self_attention");
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("tokens", PixelsToTokens{}, {graph.add("proj", Conv2d{.in = 3, .out = 8}, {x})});
  std::vector<NodeId> qkv;
  for (const char* name : {"query", "key", "value"}) qkv.push_back(graph.add(name, Linear{8, 8}, {x}));
  x = graph.add("dense", Linear{8, 8}, {graph.add("attention", Attention{8, 2}, qkv)});
  graph.add("classifier", Linear{8, 5}, {graph.add("class", TakeToken{}, {x})});
  CHECK(automatic(graph) == "query value");
}

TEST_CASE("auto takes Linear layers on feature maps, or the 1×1 convolutions of the last stage, or all of it") {
  CHECK(automatic(linear_on_maps()) == "mlp.fc1 mlp.fc2");
  CHECK(automatic(pointwise_stages()) == "b.expand b.project");
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("a", Conv2d{.in = 3, .out = 4, .kernel = {3, 3}, .padding = {1, 1}}, {x});
  for (const char* name : {"b.conv1", "b.conv2"})
    x = graph.add(name, Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {x});
  x = graph.add("b.conv3", Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}}, {x});
  graph.add("fc", Linear{4, 5}, {graph.add("pool", GlobalAvgPool{}, {x})});
  CHECK(automatic(graph) == "b.conv2 b.conv3");
}

TEST_CASE("the choice is told with its reason; of norm tuning it is every normalisation") {
  AdapterConfig config = with_set("auto");
  CHECK(
      expand_target_set(small_vit(), config) ==
      "target_modules: auto selects 2 modules, blocks.0.attn.qkv to blocks.1.attn.qkv: the packed query, key and value "
      "projection of each attention layer");
  config = with_set("auto");
  config.peft_type = PeftType::kLnTuning;
  CHECK(expanded(small_vit(), config) ==
        R"(/blocks\.0\.norm1|blocks\.0\.norm2|blocks\.1\.norm1|blocks\.1\.norm2|norm/)");
}

TEST_CASE("all-linear leaves out the attention of torch.nn.MultiheadAttention, which PEFT's adapters do not reach") {
  CHECK(expanded(small_torchvision_vit(), with_set("all-linear")) ==
        "encoder.layers.encoder_layer_0.mlp.0 encoder.layers.encoder_layer_0.mlp.3 "
        "encoder.layers.encoder_layer_1.mlp.0 encoder.layers.encoder_layer_1.mlp.3 heads.head");
}
