#include "adapters/matching.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

#include <cmath>

#include "base/text.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

using List = std::vector<std::string>;

AdapterConfig targeting(const ModulePattern& targets) {
  AdapterConfig config;
  config.target_modules = targets;
  return config;
}

// Names of the targets, with a blank between them; "| …" the retrained.
std::string matched(const Graph& graph, const AdapterConfig& config) {
  const Matches found = match_modules(graph, config);
  List names;
  for (const auto& target : found.targets) names.push_back(graph.node(target.node).name);
  if (!found.retrained.empty()) names.push_back("|");
  for (const NodeId id : found.retrained) names.push_back(graph.node(id).name);
  return join(names, " ");
}

void refused(const Graph& graph, const AdapterConfig& config, const char* because) {
  CHECK_THROWS_WITH_AS(match_modules(graph, config), doctest::Contains(because), UsageError);
}

}  // namespace

TEST_CASE("a string is a regular expression for the whole name, a list entry the name or a dotted suffix") {
  CHECK(matches(std::string(R"(.*\.2\.conv3)"), "layer1.2.conv3"));
  CHECK_FALSE(matches(std::string(R"(.*\.2\.conv)"), "layer1.2.conv3"));
  CHECK_FALSE(matches(std::string("conv3"), "layer1.2.conv3"));
  CHECK(matches(List{"fc", "conv3"}, "layer1.2.conv3"));
  CHECK(matches(List{"2.conv3"}, "layer1.2.conv3"));
  CHECK(matches(List{"conv3"}, "conv3"));
  CHECK_FALSE(matches(List{"onv3"}, "layer1.2.conv3"));
  CHECK_FALSE(matches(List{".*conv3"}, "layer1.2.conv3"));  // a list holds names, not expressions
  CHECK_FALSE(matches(ModulePattern{}, ""));

  const Graph graph = small_resnet();
  CHECK(matched(graph, targeting(std::string(R"(.*\.2\.conv[13])"))) == "layer1.2.conv1 layer1.2.conv3");
  CHECK(matched(graph, targeting(List{"1.conv2", "conv1"})) ==
        "conv1 layer1.0.conv1 layer1.1.conv1 layer1.1.conv2 layer1.2.conv1");
  CHECK(matched(graph, targeting(List{"fc"})) == "fc");
}

TEST_CASE("exclude_modules and modules_to_save go before the targets") {
  const Graph graph = small_resnet();
  AdapterConfig config = targeting(List{"conv3", "fc"});
  config.exclude_modules = List{"layer1.0.conv3"};
  CHECK(matched(graph, config) == "layer1.1.conv3 layer1.2.conv3 fc");
  config.exclude_modules = std::string(R"(layer1\.[01]\..*)");
  config.modules_to_save = {"fc"};
  CHECK(matched(graph, config) == "layer1.2.conv3 | fc");
  config.exclude_modules = List{"fc"};  // narrows the targets only
  CHECK(matched(graph, config) == "layer1.0.conv3 layer1.1.conv3 layer1.2.conv3 | fc");

  config.modules_to_save = {"layer1.1"};  // all that has tensors in a container, BatchNorm too
  CHECK(matched(graph, config) ==
        "layer1.0.conv3 layer1.2.conv3 | layer1.1.conv1 layer1.1.bn1 layer1.1.conv2 layer1.1.bn2 layer1.1.conv3 "
        "layer1.1.bn3");
  AdapterConfig only_saved;
  only_saved.modules_to_save = {"fc", "bn1"};
  CHECK(matched(conv_chain({"a"}), AdapterConfig{}).empty());
  CHECK(matched(graph, only_saved) == "| bn1 layer1.0.bn1 layer1.1.bn1 layer1.2.bn1 fc");
}

TEST_CASE("rank and alpha come from the first pattern that matches the end of the name") {
  const Graph graph = small_resnet();
  AdapterConfig config = targeting(List{"conv1", "conv3"});
  config.r = 4;
  config.lora_alpha = 6;
  config.rank_pattern = {{"0.conv1", 2}, {"conv1", 16}, {R"(layer1\.\d\.conv3)", 9}, {"conv3", 1}};
  config.alpha_pattern = {{"^conv1", 5}, {"onv3", 100}};  // neither a beginning nor a part of a segment will do
  for (const bool rslora : {false, true}) {
    config.use_rslora = rslora;
    std::vector<std::int64_t> ranks;
    const std::vector<double> alphas{5, 6, 6, 6, 6, 6, 6};
    std::size_t index = 0;
    for (const auto& target : match_modules(graph, config).targets) {
      ranks.push_back(target.rank);
      const auto rank = static_cast<double>(target.rank);
      CHECK(target.scaling == alphas.at(index++) / (rslora ? std::sqrt(rank) : rank));
    }
    CHECK((ranks == std::vector<std::int64_t>{16, 2, 9, 16, 9, 16, 9}));
    CHECK(index == alphas.size());
  }
}

TEST_CASE("layers_to_transform narrows a list by the number in the name") {
  const Graph graph =
      conv_chain({"conv", "net.blocks.0.conv", "net.blocks.1.conv", "net.blocks.1.sub.0.conv", "net.tail.1.conv"});
  AdapterConfig config = targeting(List{"conv"});
  config.layers_to_transform = {1};
  // The first number after two segments; a name in full is not narrowed, as PEFT has it.
  CHECK(matched(graph, config) == "conv net.blocks.1.conv net.blocks.1.sub.0.conv net.tail.1.conv");
  config.layers_pattern = {"other", "blocks"};
  CHECK(matched(graph, config) == "conv net.blocks.1.conv net.blocks.1.sub.0.conv");
  config.layers_to_transform = {0, 7};
  CHECK(matched(graph, config) == "conv net.blocks.0.conv");
  config.target_modules = std::string(".*conv");  // an expression says it itself
  CHECK(match_modules(graph, config).targets.size() == 5);

  // torchvision's names are one segment too short for the rule without layers_pattern.
  AdapterConfig resnet = targeting(List{"conv2"});
  resnet.layers_to_transform = {2};
  refused(small_resnet(), resnet, "outside layers_to_transform");
  resnet.layers_pattern = {"layer1"};
  CHECK(matched(small_resnet(), resnet) == "layer1.2.conv2");
}

TEST_CASE("all-linear is every Linear, the output too, as PEFT has it") {
  Graph graph = conv_chain({"a"});
  graph.add("head", Linear{3, 4}, {graph.output()});
  CHECK(matched(graph, targeting(std::string("all-linear"))) == "fc head");
  AdapterConfig config = targeting(std::string("All-Linear"));
  config.exclude_modules = List{"head"};
  CHECK(matched(graph, config) == "fc");
  config.exclude_modules = {};
  config.modules_to_save = {"head"};
  CHECK(matched(graph, config) == "fc | head");
  config.modules_to_save = {"fc", "head"};
  refused(graph, config, "got all-linear, but every Linear of this network, fc, head (the output), is in");
  refused(
      small_resnet(),
      [] {
        AdapterConfig saved = targeting(std::string("all-linear"));
        saved.modules_to_save = {"fc"};
        return saved;
      }(),
      "fc (the output)");
}

TEST_CASE("a pattern that matches nothing is refused, with near misses") {
  const Graph graph = small_resnet();
  // The article's slip: meant is conv1 … conv3 of each third block.
  refused(graph, targeting(std::string(".*.2.conv")),
          "which matches no module. Near misses: layer1.2.conv1, layer1.2.conv2, layer1.2.conv3.");
  refused(graph, targeting(List{"layer1.2.conv4", "conv5"}),
          "'layer1.2.conv4', which matches no module. Near misses: layer1.2.conv");
  refused(graph, targeting(std::string("zzz")), "lorikeet inspect");
  refused(graph, targeting(List{"query"}), "matches no module. List the names");
  refused(small_vit(), targeting(List{"query", "v_proj"}),
          "got 'query', which matches no module. The attention of this network has 'qkv'; target_modules: auto");
  refused(small_torchvision_vit(), targeting(std::string(".*\\.qkv")),
          "The attention of this network has 'self_attention'");
  refused(graph, targeting(List{"relu"}), "matches no module");  // nothing in it to adapt
  AdapterConfig config = targeting(List{"conv1"});
  config.modules_to_save = {"classifier"};
  refused(graph, config, "modules_to_save: got 'classifier'");
  config.modules_to_save = {"conv1"};
  refused(graph, config, "expected at least one module to adapt");
  refused(graph, targeting(List{}), "expected at least one module to adapt");
  CHECK(near_misses(
            graph, "layer1.0.conv", [](const Op& op) { return std::holds_alternative<Conv2d>(op); }, 2)
            .size() == 2);
}

TEST_CASE("of a list, one entry may match nothing, unless somebody asks for it") {
  const Graph graph = small_resnet();
  const auto refused_entry = [&](const AdapterConfig& config, const std::string& what) {
    CHECK(match_modules(graph, config).targets.size() == match_modules(graph, targeting(List{"conv1"})).targets.size());
    CHECK(refusal([&] { check_every_entry_matches(graph, config); }) == has(what));
  };
  AdapterConfig config = targeting(List{"conv1", "layer1.2.conv4"});
  refused_entry(config, "'layer1.2.conv4', which matches no module. Near misses: layer1.2.conv");
  config = targeting(List{"conv1"});
  check_every_entry_matches(graph, config);
  config.modules_to_save = {"fc", "score"};
  refused_entry(config, "modules_to_save: got 'score', which matches no module.");
  config.modules_to_save = {"classifier",
                            "score"};  // as PEFT has it with task_type SEQ_CLS, whatever the output's name
  refused_entry(config, "modules_to_save: got 'classifier', which matches no module.");
}

TEST_CASE("other libraries' names of the output are told its own") {
  AdapterConfig config = targeting(List{"conv1"});
  for (const char* name : {"classifier", "head", "score"}) {
    config.modules_to_save = {name};
    refused(small_resnet(), config, "which matches no module. The output of this network is 'fc'.");
  }
  Graph graph = conv_chain({"conv1"});
  graph.replace(graph.output(), Linear{2, 3});
  graph.add("classifier", Linear{3, 4}, {graph.output()});
  config.modules_to_save = {"last_linear"};
  refused(graph, config, "The output of this network is 'classifier'.");
}

TEST_CASE("what is asked for and has no effect is refused") {
  const auto refused_request = [](void (*change)(AdapterConfig&), const char* because) {
    AdapterConfig config = targeting(List{"conv1", "conv3"});
    CHECK_NOTHROW(check_every_entry_matches(small_resnet(), config));
    change(config);
    CAPTURE(because);
    CHECK(refusal<UsageError>([&] { check_every_entry_matches(small_resnet(), config); }) == has(because));
  };
  // Patterns.
  refused_request(
      [](AdapterConfig& c) {
        c.rank_pattern = {{"layer9.*", 2}};
      },
      "rank_pattern: got 'layer9.*', which does not match the end of any module's name.");
  refused_request(
      [](AdapterConfig& c) {
        c.alpha_pattern = {{"^layer1", 2}};
      },
      "alpha_pattern: got '^layer1', which does not match the end of any module's name. Near misses: layer1.0.conv1");
  refused_request(
      [](AdapterConfig& c) {
        c.rank_pattern = {{"conv1", 2}, {"conv2", 3}};
      },
      "rank_pattern: got 'conv2', which matches no module that target_modules selects.");
  refused_request(
      [](AdapterConfig& c) {
        c.rank_pattern = {{"conv1", 2}, {"layer1.*", 3}, {"1.conv1", 4}};
      },
      "rank_pattern: got '1.conv1' after patterns that match all of its modules");
  // exclude_modules.
  refused_request(
      [](AdapterConfig& c) {
        c.exclude_modules = List{"conv3", "layer9"};
      },
      "exclude_modules: got 'layer9', which matches no module.");
  refused_request([](AdapterConfig& c) { c.exclude_modules = List{"layer1"}; },
                  "exclude_modules: got 'layer1', which matches no module. Near misses: layer1.0.conv1");
  refused_request([](AdapterConfig& c) { c.exclude_modules = std::string(R"(layer9\..*)"); },
                  "exclude_modules: got 'layer9\\..*', which matches no module.");
  // Layers.
  refused_request([](AdapterConfig& c) { c.layers_pattern = {"layer1"}; },
                  "layers_pattern: got it without layers_to_transform");
  refused_request(
      [](AdapterConfig& c) {
        c.layers_pattern = {"layer1"}, c.layers_to_transform = {1, 7};
      },
      "layers_to_transform: got 7, which is not the number of a layer");
  refused_request(
      [](AdapterConfig& c) {
        c.layers_pattern = {"layer1", "blocks"}, c.layers_to_transform = {1};
      },
      "layers_pattern: got 'blocks', which does not precede the number of a layer");
  refused_request([](AdapterConfig& c) { c.target_modules = std::string(".*conv1"), c.layers_to_transform = {1}; },
                  "layers_to_transform: got it with a regular expression in target_modules");
  // More numbers than there are elements.
  refused_request([](AdapterConfig& c) { c.peft_type = PeftType::kUniLora, c.r = 8, c.unilora.theta_d_length = 857; },
                  "theta_d_length: got 857, expected at most 856, the elements of A and B of 7 modules with r 8.");
  // Options of other methods.
  refused_request(
      [](AdapterConfig& c) {
        c.peft_type = PeftType::kIa3, c.rank_pattern = {{"conv1", 2}};
      },
      "rank_pattern or alpha_pattern: got it with peft_type IA3");
  refused_request([](AdapterConfig& c) { c.feedforward_modules = List{"conv1"}; },
                  "feedforward_modules: got it with peft_type LORA");
  refused_request([](AdapterConfig& c) { c.decompose_both = true; },
                  "decompose_both or decompose_factor: got it with peft_type LORA");
  refused_request([](AdapterConfig& c) { c.use_effective_conv2d = true; }, "use_effective_conv2d: got it with");
  refused_request([](AdapterConfig& c) { c.peft_type = PeftType::kIa3, c.feedforward_modules = std::string("conv9"); },
                  "feedforward_modules: got a pattern that matches no module that target_modules selects.");
  // Loaded, they pass.
  AdapterConfig config = targeting(List{"conv1", "conv3"});
  config.rank_pattern = {{"layer9.*", 2}};
  config.exclude_modules = List{"layer9"};
  CHECK(match_modules(small_resnet(), config).targets.size() == 7);
}

TEST_CASE("what LoRA cannot adapt, and what is no expression, is refused") {
  refused(small_resnet(), targeting(std::string(R"(.*\.bn1)")), "matches layer1.0.bn1, a BatchNorm2d");
  refused(small_resnet(), targeting(std::string("(")), "target_modules: got '('");
  AdapterConfig excluding = targeting(List{"conv1"});
  excluding.exclude_modules = std::string("(");
  refused(small_resnet(), excluding, "exclude_modules: got '('");
  AdapterConfig config = targeting(List{"conv1"});
  config.rank_pattern = {{"(", 3}};
  refused(small_resnet(), config, "rank_pattern: got");
  // Narrowed, it is accepted.
  AdapterConfig narrowed = targeting(std::string("layer1.0.*"));
  narrowed.exclude_modules = std::string(".*bn.");
  CHECK(match_modules(small_resnet(), narrowed).targets.size() == 3);
}

TEST_CASE("patterns name modules; a learned tensor that is none can be retrained by its name or its container's") {
  const Graph graph = small_vit();
  AdapterConfig config;
  config.target_modules = std::string(R"(.*(embed|token|qkv).*|pos_embed)");
  const auto names = [&] {
    std::vector<std::string> out;
    for (const auto& target : match_modules(graph, config).targets) out.push_back(graph.node(target.node).name);
    return out;
  };
  CHECK(names() == std::vector<std::string>{"patch_embed.proj", "blocks.0.attn.qkv", "blocks.1.attn.qkv"});
  config.target_modules = std::string("pos_embed");
  CHECK_THROWS_WITH_AS(match_modules(graph, config), doctest::Contains("matches no module"), UsageError);
  config.target_modules = std::string("all-linear");
  CHECK(names().size() == 9);
  config.modules_to_save = {"cls_token", "blocks.1"};
  CHECK(match_modules(graph, config).retrained.size() == 7);
  CHECK(names().size() == 5);
}
