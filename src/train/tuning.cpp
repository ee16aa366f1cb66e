#include "train/tuning.h"

#include <algorithm>
#include <string_view>

#include "adapters/matching.h"
#include "adapters/target_sets.h"
#include "base/text.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

// In graph order, without the output.
std::vector<NodeId> modules_before_output(const Graph& graph) {
  std::vector<NodeId> out;
  for (NodeId id = 0; id < graph.output(); ++id) {
    if (has_parameters(graph.node(id).op) && is_module(graph.node(id).op)) out.push_back(id);
  }
  return out;
}

ModulePattern named_targets(TargetSet set, const Graph& graph) {
  std::vector<std::string> names;
  for (const NodeId id : targets_of(set, graph, PeftType::kLora).nodes) names.push_back(graph.node(id).name);
  return exact_targets(graph, names);
}

void add_modules(AdapterConfig& config, const Graph& graph, const std::vector<NodeId>& modules) {
  auto& saved = config.modules_to_save;
  for (const NodeId id : modules) {
    if (std::find(saved.begin(), saved.end(), graph.node(id).name) == saved.end()) saved.push_back(graph.node(id).name);
  }
}

}  // namespace

std::vector<NodeId> last_modules(const Graph& graph) {
  constexpr std::int64_t kSide = 224;
  const std::vector<NodeId> modules = modules_before_output(graph);
  const std::vector<Shape> shapes = infer_shapes(graph, kSide, kSide);
  const auto side = [&](NodeId id) { return shapes[id].size() == 3 ? shapes[id][1] : 1; };  // of (C, H, W)
  std::int64_t last_side = 1;
  for (const NodeId id : modules) last_side = side(id) > 1 ? side(id) : last_side;
  auto stage = modules.end();
  while (stage != modules.begin() && (side(*(stage - 1)) == 1 || side(*(stage - 1)) == last_side)) --stage;
  const auto middle = modules.begin() + static_cast<std::ptrdiff_t>(modules.size() + 1) / 2;
  const auto quarter = modules.end() - static_cast<std::ptrdiff_t>(modules.size() + 3) / 4;
  const auto block = [&](auto module) {
    const std::string& name = graph.node(*module).name;
    const std::string out = block_of(name);
    return out.empty() ? name : out;
  };
  auto start = quarter;
  while (start > middle && block(start - 1) == block(start)) --start;
  if (start == middle) start = quarter;  // a block that large is a stage
  const bool has_stages = last_side > 1 && stage >= middle;
  return {has_stages ? stage : start, modules.end()};
}

std::vector<std::string> resolve_tuning(AdaptationOptions& options, const Graph& graph) {
  std::vector<std::string> notes;
  AdapterConfig& config = options.config;
  const auto describe = [&](std::string_view what, std::size_t modules) {
    notes.push_back(
        cat("tune: ", name_of(*options.tune), " trains ", what, modules > 0 ? cat(" (", modules, ")") : ""));
  };
  const bool trains_biases = options.tune == Tuning::kBias;
  if (options.tune) {
    if (!options.head && !options.replace_output) options.new_head = true;
    const bool adapts = *options.tune == Tuning::kAdapter || *options.tune == Tuning::kNorm;
    const ModulePattern targets = config.target_modules;
    if (!adapts) config.target_modules = std::monostate{};
    if (adapts && !config.has_targets()) config.target_modules = "auto";
    switch (*options.tune) {
      case Tuning::kProbe: describe("only the new output", 0); break;
      case Tuning::kAdapter: break;  // the targets have a note of their own
      case Tuning::kNorm: config.peft_type = PeftType::kLnTuning; break;
      case Tuning::kBias: {
        config.bias = TrainedBias::kAll;
        const auto set = target_set(targets);
        config.bias_modules = !set ? targets : set == TargetSet::kAuto ? std::monostate{} : named_targets(*set, graph);
        break;
      }
      case Tuning::kPartial: {
        const auto modules = last_modules(graph);
        add_modules(config, graph, modules);
        describe(cat("the modules from ", graph.node(modules.front()).name, " on"), modules.size());
        break;
      }
      case Tuning::kFull: {
        const auto modules = modules_before_output(graph);
        add_modules(config, graph, modules);
        describe("every module", modules.size());
        break;
      }
    }
  }
  if (options.new_head) {
    options.replace_output = true;
    add_modules(config, graph, {graph.output()});
  }
  if (trains_biases) describe("the biases of modules", match_modules(graph, config).biases.size());
  options.tune.reset();
  options.new_head = false;
  return notes;
}

}  // namespace lorikeet
