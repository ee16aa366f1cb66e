#include "models/models.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "graph/shapes.h"
#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

// Published figures: torchvision's `num_params` and `_ops`. EfficientNet-Lite0's cost is that of torchvision's
// EfficientNet-B0, of which it is all but the squeeze-and-excite blocks.
struct Published {
  std::int64_t parameters;
  double giga_macs;  // at 224 × 224
  double rounding;   // of giga_macs
};
const std::map<std::string, Published> kPublished{
    {"resnet18", {11'689'512, 1.814, 5e-4}},         {"resnet34", {21'797'672, 3.664, 5e-4}},
    {"resnet50", {25'557'032, 4.089, 5e-4}},         {"resnet101", {44'549'160, 7.801, 5e-4}},
    {"resnet152", {60'192'808, 11.514, 5e-4}},       {"efficientnet_lite0", {4'652'008, 0.386, 2e-3}},
    {"resnext50_32x4d", {25'028'904, 4.230, 5e-4}},  {"resnext101_32x8d", {88'791'336, 16.414, 5e-4}},
    {"wide_resnet50_2", {68'883'240, 11.398, 5e-4}}, {"wide_resnet101_2", {126'886'696, 22.753, 5e-4}},
    {"vit_b_16", {86'567'656, 17.564, 5e-2}},        {"swin_t", {28'288'354, 4.491, 5e-2}},
    {"swin_s", {49'606'258, 8.741, 5e-2}},           {"swin_b", {87'768'224, 15.431, 5e-2}}};

bool is_hexadecimal(const std::string& text) { return text.find_first_not_of("0123456789abcdef") == std::string::npos; }

}  // namespace

TEST_CASE("models have the published size and cost") {
  for (const auto& [name, published] : kPublished) {
    CAPTURE(name);
    const Graph graph = find_model(name).build();

    REQUIRE(std::holds_alternative<Linear>(graph.node(graph.output()).op));
    CHECK(output_features(graph) == 1000);
    std::int64_t learned = 0;
    for (const auto& parameter : graph.parameters()) learned += parameter.buffer ? 0 : parameter.count();
    CHECK(learned == published.parameters);

    const auto macs = count_macs(graph, 224, 224);
    const double giga = static_cast<double>(std::accumulate(macs.begin(), macs.end(), std::int64_t{0})) / 1e9;
    CAPTURE(giga);
    CHECK(std::abs(giga - published.giga_macs) <= published.rounding);

    // The trunk sees 224 pixels as 7 × 7, and MNIST's 28 as 1 × 1.
    const auto& pool = graph.node(graph.node(graph.output()).inputs[0]);
    if (!std::holds_alternative<GlobalAvgPool>(pool.op)) continue;
    for (const std::int64_t size : {224, 28}) {
      const auto shapes = infer_shapes(graph, size, size);
      CHECK(shapes[pool.inputs[0]][1] == (size + 31) / 32);
      CHECK(shapes[pool.inputs[0]][2] == (size + 31) / 32);
      CHECK((shapes.back() == std::vector<std::int64_t>{1000}));
    }
  }
}

TEST_CASE("in every model a node fits its inputs") {
  for (const auto& model : models()) {
    CAPTURE(model.name);
    const Graph graph = model.build();
    const auto& nodes = graph.nodes();
    const bool is_square = std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
      return std::holds_alternative<PositionEmbedding>(node.op);
    });
    const auto shapes = is_square ? infer_shapes(graph, 96, 96) : infer_shapes(graph, 97, 130);  // odd and even
    for (NodeId id = 1; id < graph.nodes().size(); ++id) {
      const Node& node = graph.node(id);
      CAPTURE(node.name);
      const std::int64_t in = shapes[node.inputs[0]][0], last = shapes[node.inputs[0]].back();
      if (const auto* conv = std::get_if<Conv2d>(&node.op)) CHECK(conv->in == in);
      if (const auto* norm = std::get_if<BatchNorm2d>(&node.op)) CHECK(norm->features == in);
      if (const auto* linear = std::get_if<Linear>(&node.op)) CHECK(linear->in == last);
      if (const auto* norm = std::get_if<LayerNorm>(&node.op)) CHECK(norm->features == last);
      if (std::holds_alternative<Add>(node.op)) CHECK(shapes[node.inputs[0]] == shapes[node.inputs[1]]);
    }
  }
}

TEST_CASE("every set of weights says where it comes from") {
  std::set<std::string> names;
  std::set<std::string> files;
  for (const auto& model : models()) {
    CAPTURE(model.name);
    CHECK_FALSE(model.family.empty());
    CHECK_FALSE(model.python.empty());
    CHECK(names.insert(model.name).second);
    CHECK(&find_model(model.name) == &model);
    if (model.weights.empty()) continue;
    CHECK(model.weights.front().name == model.name);
    CHECK(model.preprocessing == model.weights.front().preprocessing);
    for (const auto& weights : model.weights) {
      CAPTURE(weights.name);
      CHECK((weights.name == model.name || names.insert(weights.name).second));
      CHECK(files.insert(weights.file_name).second);
      CHECK(&find_model(weights.name) == &model);
      CHECK(&find_weights(weights.name) == &weights);
      CHECK(weights.url.empty() == !weights.package.empty());
      CHECK(weights.package.empty() == weights.package_member.empty());
      CHECK((weights.sha256.size() == 64 || weights.sha256.size() == 8));
      CHECK(is_hexadecimal(weights.sha256));
      CHECK(weights.file_name.find(weights.sha256.substr(0, 8)) != std::string::npos);
      CHECK_FALSE(weights.licence.empty());
    }
  }
}

TEST_CASE("timm's models have weights in the Hub") {
  const auto repository = [](const char* name) { return find_model(name).hub.repository; };
  CHECK(repository("vit_tiny_patch16_224") == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k");
  CHECK(repository("timm/convnext_tiny") == "timm/convnext_tiny.in12k_ft_in1k");
  CHECK(repository("efficientnet_lite3") == "timm/tf_efficientnet_lite3.in1k");
  CHECK(repository("efficientnet_lite0").empty());  // of a package
  CHECK(repository("convnext_tiny").empty());       // torchvision's
  CHECK(repository("convnextv2_small").empty());    // not published
  for (const auto& model : models()) {
    if (model.hub.repository.empty()) continue;
    CAPTURE(model.name);
    CHECK(model.library == Library::kTimm);
    CHECK_FALSE(model.hub.licence.empty());
    CHECK_FALSE(is_model_name(model.hub.repository));  // find_base asks the Hub for it
  }
}

TEST_CASE("models are found by name, and a misspelt name by its neighbour") {
  CHECK(find_model("resnet50.v1").name == "resnet50");
  CHECK(find_weights("resnet50.v1").official_name == "IMAGENET1K_V1");
  CHECK(find_weights("resnet50").official_name == "IMAGENET1K_V2");
  CHECK(find_model("tf_efficientnet_lite0").name == "efficientnet_lite0");
  CHECK(find_weights("tf_efficientnet_lite0").name == "efficientnet_lite0");
  // timm's modules have torchvision's names.
  CHECK(&find_model("timm/resnet50") == &find_model("resnet50"));
  CHECK(&find_model("torchvision/resnet50") == &find_model("resnet50"));
  CHECK(&find_model("timm/resnet50d") == &find_model("resnet50d"));
  CHECK_FALSE(is_model_name("torchvision/resnet50d"));
  CHECK_FALSE(is_model_name("timm/vit_b_16"));  // there vit_base_patch16_224
  CHECK(is_model_name("resnet152"));
  CHECK_FALSE(is_model_name("resnet"));
  CHECK_THROWS_WITH_AS(find_model("resnet5"), doctest::Contains("Did you mean 'resnet50'?"), UsageError);
  CHECK_THROWS_WITH_AS(find_weights("eficientnet_lite0"), doctest::Contains("Did you mean 'efficientnet_lite0'?"),
                       UsageError);
  CHECK_THROWS_WITH_AS(find_model("resnet50\n.v1"), doctest::Contains("\\x0a"), UsageError);
  CHECK_THROWS_AS(find_model(""), UsageError);
  CHECK_THROWS_WITH_AS(find_model("ResNet-50"), doctest::Contains("Did you mean 'resnet50'?"), UsageError);
  CHECK_THROWS_WITH_AS(find_model("efficientnet_lite"), doctest::Contains("Did you mean 'efficientnet_lite0'?"),
                       UsageError);
  CHECK_THROWS_WITH_AS(find_model("resent18"), doctest::Contains("Did you mean 'resnet18'?"), UsageError);
}

TEST_CASE("another network's name gets the list of models, not a wrong neighbour") {
  for (const char* name : {"resnet26", "vgg16", "squeezenet1_0", "resnet", "resnet50.v3", ""}) {
    CAPTURE(name);
    const std::string message = refusal<UsageError>([&] { find_model(name); });
    CHECK(message.starts_with(
        cat("model: got '", name, "', which is not known. Known families: ResNet (resnet18, resnet34")));
  }
}
