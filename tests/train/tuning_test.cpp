#include "train/tuning.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "adapters/target_sets.h"
#include "models/families.h"
#include "models/models.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

Adaptation tuned(const Graph& graph, Tuning tuning) {
  AdaptationOptions options;
  options.tune = tuning;
  options.check();
  resolve_tuning(options, graph);
  AdapterSpec spec = options.spec(/*classes=*/7);
  expand_target_set(graph, spec.config);
  return adapt(graph, spec);
}

std::set<std::string> names_of_last(const std::string& model) {
  const Graph graph = find_model(model).build();
  std::set<std::string> out;
  for (const NodeId id : last_modules(graph)) out.insert(graph.node(id).name);
  return out;
}

}  // namespace

TEST_CASE("each tuning fits each model, and each trains more than the one before") {
  for (const ModelEntry* model : smallest_models()) {
    CAPTURE(model->name);
    const Graph graph = model->build();
    const Adaptation probe = tuned(graph, Tuning::kProbe), adapter = tuned(graph, Tuning::kAdapter),
                     norm = tuned(graph, Tuning::kNorm), bias = tuned(graph, Tuning::kBias),
                     partial = tuned(graph, Tuning::kPartial), full = tuned(graph, Tuning::kFull);
    CHECK(probe.targets.empty());
    CHECK(probe.retrained.size() == 1);
    for (const Adaptation* each : {&probe, &adapter, &norm, &bias, &partial, &full}) {
      CHECK(output_features(each->graph) == 7);
      CHECK(each->replaced == graph.output());
    }
    CHECK_FALSE(adapter.targets.empty());
    CHECK_FALSE(norm.targets.empty());
    CHECK(partial.targets.empty());
    CHECK(count_trainable(probe) < count_trainable(norm));
    CHECK(count_trainable(probe) < count_trainable(bias));
    CHECK(count_trainable(bias) < count_trainable(full));
    CHECK(count_trainable(probe) < count_trainable(adapter));
    CHECK(count_trainable(probe) < count_trainable(partial));
    CHECK(count_trainable(partial) < count_trainable(full));
    CHECK(count_trainable(adapter) < count_trainable(full));
    CHECK(2 * partial.retrained.size() <= full.retrained.size() + 2);
  }
}

TEST_CASE("a full training leaves no module out") {
  for (const char* model : {"resnet50", "efficientnet_lite0"}) {
    const Graph graph = find_model(model).build();
    const Adaptation full = tuned(graph, Tuning::kFull);
    std::int64_t all = 0;
    for (const Parameter& parameter : full.graph.parameters()) all += parameter.buffer ? 0 : parameter.count();
    CHECK(count_trainable(full) == all);
  }
}

TEST_CASE("the last modules are the last stage, or the last quarter of the blocks") {
  const auto resnet = names_of_last("resnet50");
  CHECK(resnet.contains("layer4.0.conv2"));
  CHECK(resnet.contains("layer4.2.bn3"));
  CHECK_FALSE(resnet.contains("layer3.5.conv3"));
  CHECK_FALSE(resnet.contains("fc"));
  const auto vit = names_of_last("vit_tiny_patch16_224");
  CHECK(vit.contains("blocks.9.norm1"));
  CHECK(vit.contains("norm"));
  CHECK_FALSE(vit.contains("blocks.8.mlp.fc2"));
}

TEST_CASE("biases and norms are tuned in the modules that target_modules selects") {
  const Graph graph = find_model("resnet18").build();
  const auto tuned_in = [&](Tuning tuning, const ModulePattern& targets) {
    AdaptationOptions options;
    options.tune = tuning;
    options.config.target_modules = targets;
    options.check();
    const auto notes = resolve_tuning(options, graph);
    AdapterSpec spec = options.spec(/*classes=*/7);
    expand_target_set(graph, spec.config);
    return std::pair(notes, count_trainable(adapt(graph, spec)) - 7 * 513);
  };
  const auto [notes, count] = tuned_in(Tuning::kBias, R"(layer4\..*)");
  CHECK(count == 5 * 512);  // of BatchNorm; the convolutions have none
  CHECK(notes == std::vector<std::string>{"tune: bias trains the biases of modules (5)"});
  CHECK(tuned_in(Tuning::kBias, std::vector<std::string>{"layer1.0.bn1", "bn2"}).second == 64 + 2 * 960);
  CHECK(tuned_in(Tuning::kBias, "auto").second == tuned_in(Tuning::kBias, std::monostate{}).second);
  CHECK(tuned_in(Tuning::kNorm, R"(layer4\..*bn.)").second == 4 * 1024);
  CHECK(refusal<UsageError>([&] { tuned_in(Tuning::kBias, "all-conv"); }) == has("matches no module with a bias"));
  AdaptationOptions options;
  options.tune = Tuning::kBias;
  options.config.peft_type = PeftType::kVera;
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("tune: got bias with peft_type VERA"));
}

TEST_CASE("tune goes with what it does not decide") {
  const Graph graph = find_model("resnet18").build();
  AdaptationOptions options;
  options.tune = Tuning::kPartial;
  options.config.target_modules = "auto";  // of a recipe for every model
  options.config.modules_to_save = {"conv1"};
  options.head = {16};
  options.check();
  const auto notes = resolve_tuning(options, graph);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] == has("tune: partial trains the modules from layer4.0.conv1 on ("));
  CHECK_FALSE(options.config.has_targets());
  CHECK_FALSE(options.replace_output);
  CHECK(options.config.modules_to_save.front() == "conv1");
  CHECK(resolve_tuning(options, graph).empty());

  options = {};
  options.tune = Tuning::kFull;
  options.config.target_modules = "layer4.*";
  CHECK(refusal<UsageError>([&] { options.check(); }) ==
        "tune: got full with target_modules, expected one of them. "
        "Set target_modules: null.");
  options = {};
  options.tune = Tuning::kNorm;
  options.config.peft_type = PeftType::kLoha;
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("tune: got norm with peft_type LOHA"));
  options.tune = Tuning::kAdapter;
  options.check();
  options.config.peft_type = PeftType::kLnTuning;
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("expected tune: norm."));
  options = {};
  options.new_head = true;
  options.check();
  resolve_tuning(options, graph);
  CHECK(options.replace_output);
  CHECK(options.config.modules_to_save == std::vector<std::string>{"fc"});
}
