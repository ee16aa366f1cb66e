#include "search/space.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.h"
#include "models/models.h"
#include "refusal.h"
#include "search/places.h"

using namespace lorikeet;

namespace {

std::vector<std::string> names(const std::vector<Stage>& stages) {
  std::vector<std::string> out;
  for (const Stage& stage : stages) out.push_back(stage.name);
  return out;
}

using Names = std::vector<std::string>;

// Without weights, which the space does not need.
const BaseModel& resnet50() {
  static const BaseModel kBase = [] {
    BaseModel out;
    out.entry = std::make_shared<const ModelEntry>(find_model("resnet50"));
    out.graph = out.entry->build();
    return out;
  }();
  return kBase;
}

const std::map<std::string, double> kGradients{{"layer1.0.conv1", 3}, {"layer2.0.conv1", 2}, {"layer4.0.conv1", 1}};

std::vector<Candidate> space(const std::string& yaml, const std::set<std::string>& named = {}) {
  const Recipe recipe = parse_recipe("model: resnet50\ndata: mnist\n" + yaml, "r", {});
  std::vector<std::string> notes;
  return make_candidates({recipe, named, resnet50(), 10, kGradients}, notes);
}

std::set<std::string> methods(const std::vector<Candidate>& candidates) {
  std::set<std::string> out;
  for (const Candidate& candidate : candidates) out.insert(candidate.method);
  return out;
}

}  // namespace

TEST_CASE("places are stages of the network, as expressions where they are short") {
  const Graph& graph = resnet50().graph;
  const std::vector<Stage> stages = stages_of(graph, PeftType::kLora);
  CHECK(names(stages) == Names{"layer1", "layer2", "layer3", "layer4"});
  CHECK(stages[3].modules == Names{"layer4.0.conv1", "layer4.0.conv3", "layer4.1.conv1", "layer4.1.conv3",
                                   "layer4.2.conv1", "layer4.2.conv3"});
  CHECK(names(stages_at("last", stages, {})) == Names{"layer4"});
  CHECK(names(stages_at("half", stages, {})) == Names{"layer3", "layer4"});
  CHECK(names(stages_at("middle", stages, {})) == Names{"layer2", "layer3"});
  CHECK(names(stages_at("middle", {stages[3]}, {})) == Names{"layer4"});
  CHECK(names(stages_at("all", stages, {})) == names(stages));
  CHECK(names(stages_at("gradient", stages, kGradients)) == Names{"layer1", "layer2"});
  CHECK(mean_gradient({stages[0], stages[1]}, kGradients) == 2.5);
  CHECK(targets_yaml(graph, stages_at("half", stages, {})) == R"('(layer3|layer4)\.\d+\.(conv1|conv3)')");
  CHECK(targets_yaml(graph, {stages[3]}) == R"('layer4\.\d+\.(conv1|conv3)')");
  CHECK(targets_yaml(graph, {{"layer4", {"layer4.0.conv1", "layer4.2.conv1"}}}) == "[layer4.0.conv1, layer4.2.conv1]");

  const Graph vit = find_model("vit_b_16").build();
  const std::vector<Stage> blocks = stages_of(vit, PeftType::kLora);
  CHECK(blocks.size() == 12);
  CHECK(stages_at("last", blocks, {}).size() == 3);
  const std::vector<Stage> norms = stages_of(graph, PeftType::kLnTuning);
  CHECK(std::count(norms.back().modules.begin(), norms.back().modules.end(), "layer4.0.downsample.1") == 1);
}

TEST_CASE("the default space has some tens of candidates of all sizes, small ones of each first") {
  const std::vector<Candidate> candidates = space("head: new\n");
  CHECK(candidates.size() >= 20);
  CHECK(candidates.size() <= 40);
  CHECK((methods(candidates) == std::set<std::string>{"HEAD", "TINYLORA", "LORA_XS", "UNILORA", "LN_TUNING", "LORA"}));
  const auto [least, most] = std::minmax_element(
      candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
  CHECK(least->parameters == 2 * 2 * 14 + 170);
  CHECK(most->parameters > 20'000);
  CHECK(candidates.front().parameters < candidates[1].parameters);
  // Of one size, the place with the larger gradient is first.
  const auto at = [&](const char* places) {
    return std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
      return candidate.setting("u") == "330" && candidate.places == places;
    });
  };
  CHECK(at("gradient") < at("middle"));
  CHECK(at("gradient")->parameters == 500);
  CHECK(at("gradient")->setting("target_modules") == R"('(layer1|layer2)\.\d+\.(conv1|conv3)')");
}

TEST_CASE("what the recipe names is fixed, and its search replaces values") {
  for (const Candidate& candidate : space("head: new\npeft_type: LORA\ntarget_modules: layer4.*conv3\nr: 3\n",
                                          {"head", "peft_type", "target_modules", "r"})) {
    CHECK(candidate.method == "LORA");
    CHECK((candidate.overrides() == Names{"peft_type=LORA", "learning_rate=3e-3"}));
    CHECK(candidate.parameters == 20490 + 3 * 3 * (512 + 2048));
  }
  const auto searched = space(
      "head: new\nsearch: {peft_type: [LORA_XS, HEAD], r: [1, 2, 3], head: [{rank: 2}], weight_decay: [0, 0.1], "
      "target_modules: [last, 'layer1.*conv1']}\n");
  CHECK((methods(searched) == std::set<std::string>{"LORA_XS", "HEAD"}));
  CHECK(searched.size() == 2 * 2 * 3 + 2 * 2);  // the two default rates of a head are two of its own
  for (const Candidate& candidate : searched) CHECK(candidate.setting("head") == "{rank: 2}");
  CHECK((methods(space("head: new\nsearch: {peft_type: [VERA]}\n")) == std::set<std::string>{"VERA"}));
  CHECK((methods(space("peft_type: LN_TUNING\ntarget_modules: layer4.*bn1\nhead: new\n",
                       {"peft_type", "target_modules", "head"})) == std::set<std::string>{"LN_TUNING"}));
}

TEST_CASE("combinations that do not fit are left out, and named") {
  const Recipe recipe = parse_recipe(
      "model: resnet50\ndata: mnist\nhead: new\nsearch: {peft_type: [LORA], target_modules: [layer9.*, last]}\n", "r",
      {});
  std::vector<std::string> notes;
  CHECK(make_candidates({recipe, {}, resnet50(), 10, kGradients}, notes).size() == 2);
  REQUIRE(notes.size() == 1);  // of two ranks
  CHECK(notes[0] == has("left out LORA at layer9.*: target_modules: "));
  const auto message = [](const std::string& yaml, const std::set<std::string>& named = {}) {
    return refusal<UsageError>([&] { space("head: new\n" + yaml, named); });
  };
  CHECK(message("search: {target_modules: [nothing_here]}\n") ==
        has("search: target_modules: got nothing_here, expected a value that fits the recipe and the model. The first "
            "combination: TINYLORA at nothing_here: "));
  CHECK(message("search: {peft_type: [LORA], target_modules: [nothing_here]}\n") ==
        has("expected at least one. The first one: LORA at nothing_here: "));
  CHECK(message("search: {peft_type: [HEAD], r: [2]}\n") ==
        has("search: r: got values, expected none: no method that is tried (HEAD) has this key"));
  CHECK(message("r: 4\nsearch: {r: [2]}\n", {"r"}) == has("search: r: got values for it, and one in the recipe"));
  CHECK(refusal<UsageError>([&] {
          check_searchable({"data", "tune"});
        }) == has("tune: got it in the recipe of a search"));
  CHECK_NOTHROW(check_searchable({"data", "learning_rate"}));
}

TEST_CASE("the precisions of files are those of the search, the recipe or all small ones") {
  using P = FilePrecision;
  const auto of = [](const std::string& yaml, const std::set<std::string>& named) {
    return searched_precisions(parse_recipe("data: d\nhead: new\n" + yaml, "r", {}), named);
  };
  CHECK((of("", {}) == std::vector{P::kBFloat16, P::kInt8, P::kInt4}));
  CHECK((of("file_precision: float32\n", {"file_precision"}) == std::vector{P::kFloat32}));
  CHECK((of("search: {file_precision: [int4, float32]}\n", {}) == std::vector{P::kInt4, P::kFloat32}));
}
