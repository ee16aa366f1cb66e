#include "adapters/combine.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "adapters/lora.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

// small_resnet with a grouped convolution in the middle.
Graph grouped_resnet() {
  Graph graph = small_resnet();
  const NodeId id = *graph.find("layer1.1.conv2");
  Conv2d conv = std::get<Conv2d>(graph.node(id).op);
  conv.groups = 2;
  graph.replace(id, conv);
  return graph;
}

AdapterFolder folder_with(const std::string& targets, std::int64_t rank, double alpha, std::uint64_t seed,
                          std::vector<std::string> saved = {}) {
  AdapterFolder out;
  out.spec.config.target_modules = targets;
  out.spec.config.r = rank;
  out.spec.config.lora_alpha = alpha;
  out.spec.config.modules_to_save = std::move(saved);
  at::Generator generator = seeded(seed);
  for (const auto& parameter : adapter_parameters(adapt(grouped_resnet(), out.spec))) {
    at::Tensor tensor = at::empty(parameter.shape).normal_(0, 1, generator);
    if (parameter.name == "layer1.1.conv2.lora_A.weight") {  // grouped, in PEFT's form: zero outside the group
      tensor.slice(0, 0, rank / 2).slice(1, 2, 4).zero_();
      tensor.slice(0, rank / 2, rank).slice(1, 0, 2).zero_();
    }
    out.tensors.add(parameter.name, tensor);
  }
  return out;
}

// ΔW of a layer; zeros where the adapter does not reach it.
at::Tensor delta(const AdapterFolder& folder, const std::string& name) {
  const Graph graph = grouped_resnet();
  const Adaptation adaptation = adapt(graph, folder.spec);
  const NodeId id = *graph.find(name);
  for (const auto& target : adaptation.targets) {
    if (target.node != id) continue;
    LoraLayer layer;
    layer.lora_A = folder.tensors.find(name + ".lora_A.weight")->to(at::kDouble);
    layer.lora_B = folder.tensors.find(name + ".lora_B.weight")->to(at::kDouble);
    layer.scaling = target.scaling;
    return lora_delta_weight(layer, graph.node(id));
  }
  return at::zeros(graph.parameters(id)[0].shape, at::kDouble);
}

const char* const kAll[]{"layer1.0.conv1", "layer1.1.conv2", "layer1.2.conv2", "conv1", "fc"};

Combined combined(const std::vector<WeightedAdapter>& adapters, Combination how, std::int64_t rank = 0) {
  return combine(adapters, grouped_resnet(), how, rank);
}

}  // namespace

TEST_CASE("the sum is exact for every layer, whichever of the adapters reach it") {
  const AdapterFolder a = folder_with(R"(layer1\.[01]\.conv[12]|fc)", 2, 3, 1);
  const AdapterFolder b = folder_with(R"(conv1|layer1\.[12]\.conv2|fc)", 4, 2, 2);
  for (const Combination how : {Combination::kCat, Combination::kLinear}) {
    const Combined sum = combined({{"a", 0.75, a}, {"b", -0.5, b}}, how);
    check_adapter_tensors(sum.folder.tensors, adapt(grouped_resnet(), sum.folder.spec), "sum");
    for (const char* name : kAll) {
      CAPTURE(name);
      const at::Tensor expected = 0.75 * delta(a, name) - 0.5 * delta(b, name);
      CHECK(relative(delta(sum.folder, name), expected) < 1e-6);
    }
    for (const auto& layer : sum.layers) {
      CAPTURE(layer.name);
      CHECK(layer.error < 1e-6);
      if (layer.name == "fc") CHECK(layer.rank == (how == Combination::kCat ? 6 : 5));  // fc has five rows
    }
  }
}

TEST_CASE("ranks do not depend on the order of the patterns, which PEFT sorts") {
  const AdapterFolder a = folder_with(R"(conv1|layer1\.0\.conv1)", 2, 2, 1);
  const AdapterFolder b = folder_with(R"(layer1\.0\.conv1)", 1, 2, 2);
  for (const Combination how : {Combination::kCat, Combination::kLinear}) {
    Combined sum = combined({{"a", 1, a}, {"b", 1, b}}, how);
    const at::Tensor expected = delta(a, "layer1.0.conv1") + delta(b, "layer1.0.conv1");
    AdapterConfig& config = sum.folder.spec.config;
    CHECK(config.rank_pattern.size() == 2);
    for (int order = 0; order < 2; ++order) {
      std::reverse(config.rank_pattern.begin(), config.rank_pattern.end());
      std::reverse(config.alpha_pattern.begin(), config.alpha_pattern.end());
      check_adapter_tensors(sum.folder.tensors, adapt(grouped_resnet(), sum.folder.spec), "sum");
      CHECK(relative(delta(sum.folder, "layer1.0.conv1"), expected) < 1e-6);
      CHECK(relative(delta(sum.folder, "conv1"), delta(a, "conv1")) < 1e-6);
    }
  }
}

TEST_CASE("linear finds the smallest rank that is exact") {
  const AdapterFolder a = folder_with("layer1.2.conv2", 2, 2, 1);
  const Combined doubled = combined({{"a", 0.25, a}, {"a", 0.75, a}}, Combination::kLinear);
  CHECK(doubled.layers[0].rank == 2);
  CHECK(relative(delta(doubled.folder, "layer1.2.conv2"), delta(a, "layer1.2.conv2")) < 1e-6);
}

TEST_CASE("svd is the best of its rank, and says what that costs") {
  const AdapterFolder a = folder_with("layer1.2.conv2", 3, 2, 1);
  const Combined cut = combined({{"a", 1, a}}, Combination::kSvd, 2);
  CHECK(cut.layers[0].rank == 2);
  const at::Tensor whole = delta(a, "layer1.2.conv2").flatten(1);
  const at::Tensor S = at::linalg_svdvals(whole);
  const double expected = S[2].item<double>() / S.norm().item<double>();
  CHECK(cut.layers[0].error == doctest::Approx(expected).epsilon(1e-5));
  CHECK(relative(delta(cut.folder, "layer1.2.conv2").flatten(1), whole) == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("retrained modules are taken over where they are the same, and refused where they differ") {
  const AdapterFolder a = folder_with("layer1.2.conv2", 2, 2, 1, {"fc"});
  const AdapterFolder plain = folder_with("layer1.2.conv2", 2, 2, 2);
  const Combined sum = combined({{"plain", 1, plain}, {"a", 1, a}}, Combination::kLinear);
  CHECK(at::equal(*sum.folder.tensors.find("fc.weight"), *a.tensors.find("fc.weight")));
  CHECK(sum.folder.spec.config.modules_to_save == std::vector<std::string>{"fc"});
  CHECK_NOTHROW(combined({{"a", 1, a}, {"a", 1, a}}, Combination::kLinear));
  const AdapterFolder other = folder_with("layer1.2.conv2", 2, 2, 3, {"fc"});
  CHECK_THROWS_WITH_AS(combined({{"a", 1, a}, {"other", 1, other}}, Combination::kLinear),
                       doctest::Contains("other: got another 'fc.weight'"), Error);
}

TEST_CASE("a small output is taken over with its dense weight, and refused beside another output") {
  const auto with_output = [](const std::optional<SmallOutput>& output, std::uint64_t seed) {
    AdapterFolder out = folder_with("layer1.2.conv2", 2, 2, seed);
    out.spec.config.modules_to_save = {"fc"};
    out.spec.output_classes = 6;
    out.spec.small_output = output;
    at::Generator generator = seeded(3);
    for (const auto& parameter : adapter_parameters(adapt(grouped_resnet(), out.spec))) {
      if (parameter.name.starts_with("fc."))
        out.tensors.add(parameter.name, at::empty(parameter.shape).normal_(0, 1, generator));
    }
    if (output) out.for_peft.add("fc.weight", at::ones({6, 8}));
    return out;
  };
  using Form = SmallOutput::Form;
  const AdapterFolder plain = folder_with("layer1.2.conv2", 2, 2, 2);
  for (const SmallOutput& output : {SmallOutput{Form::kLowRank, 2}, {Form::kProjected, 3}, {Form::kTied, 9}}) {
    CAPTURE(small_output_json(output).dump());
    const AdapterFolder a = with_output(output, 1), b = with_output(output, 4);
    for (const auto& adapters : {std::vector<WeightedAdapter>{{"a", 1, a}, {"plain", 1, plain}},
                                 {{"plain", 1, plain}, {"a", 1, a}},
                                 {{"a", 0.5, a}, {"b", 2, b}}}) {
      const AdapterFolder sum = combined(adapters, Combination::kLinear).folder;
      CHECK((sum.spec.small_output == output));
      CHECK(sum.for_peft.contains("fc.weight"));
      check_adapter_tensors(sum.tensors, adapt(grouped_resnet(), sum.spec), "sum");
    }
    const AdapterFolder dense = with_output(std::nullopt, 1), other = with_output(SmallOutput{Form::kTied, 5}, 1);
    CHECK(refusal([&] {
            combined({{"a", 1, a}, {"dense", 1, dense}}, Combination::kLinear);
          }) == has("dense: got a dense output, expected the head {\""));
    CHECK(refusal([&] {
            combined({{"dense", 1, dense}, {"a", 1, a}}, Combination::kLinear);
          }) == has("expected a dense output, as in the adapters before it"));
    CHECK(refusal([&] {
            combined({{"a", 1, a}, {"other", 1, other}}, Combination::kCat);
          }) == has("other: got the head {"));
  }
}

TEST_CASE("a module that one adapter retrains and another adapts is refused") {
  const AdapterFolder retrained = folder_with("layer1.2.conv2", 2, 2, 1, {"fc"});
  const AdapterFolder adapted = folder_with("fc", 2, 2, 2);
  CHECK(refusal([&] {
          combined({{"a", 1, retrained}, {"b", 1, adapted}}, Combination::kLinear);
        }) == has("b: got LoRA on fc, which another adapter fully trains"));
  // modules_to_save counts for every name that ends like it.
  const AdapterFolder ending = folder_with("layer1.2.conv2", 2, 2, 1, {"conv1"});
  const AdapterFolder inner = folder_with(R"(layer1\.0\.conv1)", 2, 2, 2);
  CHECK(refusal([&] {
          combined({{"a", 1, inner}, {"b", 1, ending}}, Combination::kCat);
        }) == has("a: got LoRA on layer1.0.conv1, which another adapter fully trains"));
}

TEST_CASE("what does not add up is refused") {
  AdapterFolder dora = folder_with("layer1.2.conv2", 2, 2, 1);
  dora.spec.config.use_dora = true;
  CHECK_THROWS_WITH_AS(combined({{"x", 1, dora}}, Combination::kLinear),
                       doctest::Contains("x: got LORA with options, expected plain LoRA"), Error);
  AdapterFolder tiny = folder_with("layer1.2.conv2", 2, 2, 1);
  tiny.spec.config.peft_type = PeftType::kTinyLora;
  CHECK(refusal([&] {
          combined({{"x", 1, tiny}}, Combination::kLinear);
        }) == has("x: got TINYLORA, expected plain LoRA. Convert it with 'lorikeet convert ADAPTER --as-lora"));
  AdapterFolder a = folder_with("layer1.2.conv2", 2, 2, 1);
  AdapterFolder b = a;
  a.metadata = AdapterMetadata{"small", "small.v1", std::string(64, 'a'), {}, {}};
  b.metadata = AdapterMetadata{"small", "small.v2", std::string(64, 'b'), {}, {}};
  CHECK_THROWS_WITH_AS(combined({{"a", 1, a}, {"b", 1, b}}, Combination::kLinear),
                       doctest::Contains("b: got an adapter of small.v2"), Error);
  CHECK_THROWS_WITH_AS(combined({{"a", 1, a}}, Combination::kSvd, 0), doctest::Contains("rank: got 0"), UsageError);
  CHECK_THROWS_AS(combined({}, Combination::kLinear), UsageError);
}
