#include "adapters/extract.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "adapters/lora.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

at::Tensor noise_like(const at::Tensor& tensor, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(tensor.sizes()).normal_(0, 0.1, generator);
}

// The base with some tensors changed.
NamedTensors changed(const NamedTensors& base, const std::vector<std::string>& names) {
  NamedTensors out;
  std::uint64_t seed = 1;
  for (const auto& [name, tensor] : base) {
    const bool is_changed = std::find(names.begin(), names.end(), name) != names.end();
    out.add(name, is_changed ? tensor + noise_like(tensor, seed++) : tensor);
  }
  return out;
}

at::Tensor delta(const AdapterFolder& folder, const Graph& graph, const std::string& name) {
  for (const auto& target : adapt(graph, folder.spec).targets) {
    const Node& node = graph.node(target.node);
    if (node.name != name) continue;
    LoraLayer layer;
    layer.lora_A = *folder.tensors.find(name + ".lora_A.weight");
    layer.lora_B = *folder.tensors.find(name + ".lora_B.weight");
    layer.scaling = target.scaling;
    return lora_delta_weight(layer, node);
  }
  return {};
}

}  // namespace

TEST_CASE("at full rank the difference comes back whole, and what LoRA does not cover is kept") {
  const Graph graph = small_resnet();
  const NamedTensors base = random_weights(graph, 1);
  const NamedTensors tuned =
      changed(base, {"conv1.weight", "layer1.1.conv2.weight", "layer1.1.bn2.running_mean", "fc.weight", "fc.bias"});
  const Extracted found = extract_lora(graph, base, tuned, {.rank = 100});
  check_adapter_tensors(found.folder.tensors, adapt(graph, found.folder.spec), "x");
  REQUIRE(found.layers.size() == 2);
  for (const auto& layer : found.layers) {
    CAPTURE(layer.name);
    CHECK(layer.error < 1e-6);
    CHECK(layer.change > 0.01);
    const at::Tensor expected = *tuned.find(layer.name + ".weight") - *base.find(layer.name + ".weight");
    CHECK(relative(delta(found.folder, graph, layer.name), expected) < 1e-4);
  }
  CHECK(found.kept == std::vector<std::string>{"layer1.1.bn2", "fc"});
  CHECK(at::equal(*found.folder.tensors.find("layer1.1.bn2.running_mean"), *tuned.find("layer1.1.bn2.running_mean")));
  CHECK(at::equal(*found.folder.tensors.find("fc.weight"), *tuned.find("fc.weight")));
}

TEST_CASE("a small rank costs what the other singular values hold") {
  const Graph graph = small_resnet();
  const NamedTensors base = random_weights(graph, 1);
  const NamedTensors tuned = changed(base, {"layer1.1.conv2.weight"});
  const Extracted found = extract_lora(graph, base, tuned, {.rank = 2});
  const at::Tensor expected = *tuned.find("layer1.1.conv2.weight") - *base.find("layer1.1.conv2.weight");
  const at::Tensor S = at::linalg_svdvals(expected.flatten(1));
  CHECK(found.layers[0].error == doctest::Approx((S.slice(0, 2).norm() / S.norm()).item<double>()).epsilon(1e-4));
  CHECK(relative(delta(found.folder, graph, "layer1.1.conv2"), expected) ==
        doctest::Approx(found.layers[0].error).epsilon(1e-4));
}

TEST_CASE("the pattern says where LoRA goes; a bias goes with it; a new output is kept whole") {
  const Graph graph = small_resnet();
  const NamedTensors base = random_weights(graph, 1);
  NamedTensors tuned = changed(base, {"conv1.weight", "layer1.1.conv1.weight", "fc.weight", "fc.bias"});
  const Extracted biased = extract_lora(graph, base, tuned, {.rank = 2, .target_modules = std::string("fc")});
  CHECK((biased.folder.spec.config.bias == TrainedBias::kLoraOnly));
  CHECK(at::equal(*biased.folder.tensors.find("fc.base_layer.bias"), *tuned.find("fc.bias")));
  // "conv1" in modules_to_save counts for layer1.1.conv1 too, and for those that did not change.
  CHECK(biased.kept == std::vector<std::string>{"conv1", "layer1.0.conv1", "layer1.1.conv1", "layer1.2.conv1"});
  check_adapter_tensors(biased.folder.tensors, adapt(graph, biased.folder.spec), "x");

  tuned.set("fc.weight", at::ones({9, 8}));
  tuned.set("fc.bias", at::ones({9}));
  const Extracted larger = extract_lora(graph, base, tuned, {.rank = 2});
  CHECK(larger.folder.spec.output_classes == 9);
  CHECK(larger.kept == std::vector<std::string>{"fc"});
  check_adapter_tensors(larger.folder.tensors, adapt(graph, larger.folder.spec), "x");
}

TEST_CASE("an adapter names as many layers as there are, and no others") {
  const auto extracted = [](const Graph& graph, const std::vector<std::string>& names) {
    const NamedTensors base = random_weights(graph, 1);
    std::vector<std::string> weights;
    for (const std::string& name : names) weights.push_back(name + ".weight");
    AdapterFolder folder = extract_lora(graph, base, changed(base, weights), {.rank = 1}).folder;
    std::vector<std::string> found;
    for (const auto& target : adapt(graph, folder.spec).targets) found.push_back(graph.node(target.node).name);
    CHECK(found == names);
    return folder.spec.config.target_modules;
  };
  std::vector<std::string> names;
  for (int block = 0; block < 60; ++block) {
    for (const char* layer : {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"})
      names.push_back("blocks." + std::to_string(block) + "." + layer);
  }
  CHECK((extracted(small_vit({.depth = 60}), names) == ModulePattern(names)));
  // In a list "conv1" would be layer1.0.conv1, too.
  CHECK((extracted(small_resnet(), {"conv1", "layer1.1.conv2"}) == ModulePattern("conv1|layer1\\.1\\.conv2")));
}

TEST_CASE("nothing to extract is said so") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  CHECK_THROWS_WITH_AS(extract_lora(small_resnet(), base, base, {}), doctest::Contains("got the base model itself"),
                       Error);
}
