#include "search/places.h"

#include <algorithm>
#include <set>
#include <utility>

#include "adapters/matching.h"
#include "adapters/target_sets.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

const Conv2d* conv_of(const Node& node) { return std::get_if<Conv2d>(&node.op); }
bool is_pointwise(const Conv2d& conv) { return conv.kernel == Pair{1, 1} && conv.groups == 1; }

// "layer4", "1.conv2" of "layer4.1.conv2"; empty if the module is not in a stage.
std::pair<std::string, std::string> split_name(const std::string& name) {
  const std::string stage = block_of(name);
  if (stage.empty() || stage.size() == name.size()) return {};
  return {stage, name.substr(stage.size() + 1)};
}

// "1.conv2" → "\d+\.conv2": any number before the last component.
std::string general(const std::string& rest) {
  std::string out;
  for (std::size_t begin = 0; begin < rest.size();) {
    const std::size_t end = std::min(rest.find('.', begin), rest.size());
    const std::string part = rest.substr(begin, end - begin);
    const bool is_last = end == rest.size();
    out += !is_last && to_integer(part) ? std::string(R"(\d+)") : part;
    if (!is_last) out += R"(\.)";
    begin = end + 1;
  }
  return out;
}

std::vector<std::string> adaptable(const Graph& graph, PeftType method) {
  std::vector<std::string> out;
  const std::vector<NodeId> chosen = targets_of(TargetSet::kAuto, graph, method).nodes;
  const bool is_convolutional =
      method != PeftType::kLnTuning && !chosen.empty() && conv_of(graph.node(chosen.front())) != nullptr;
  if (!is_convolutional) {
    for (const NodeId id : chosen) out.push_back(graph.node(id).name);
    return out;
  }
  std::vector<std::string> pointwise;
  for (const Node& node : graph.nodes()) {
    if (const Conv2d* conv = conv_of(node); conv != nullptr) {
      out.push_back(node.name);
      if (is_pointwise(*conv)) pointwise.push_back(node.name);
    }
  }
  if (2 * pointwise.size() >= out.size()) out = std::move(pointwise);
  // Convolutions on shortcuts occur in few blocks.
  std::map<std::string, std::size_t> counts;
  std::size_t most = 0;
  for (const std::string& name : out) most = std::max(most, ++counts[general(split_name(name).second)]);
  std::erase_if(out, [&](const std::string& name) { return 2 * counts[general(split_name(name).second)] < most; });
  return out;
}

std::string alternatives(const std::vector<std::string>& items) {
  return items.size() == 1 ? items.front() : cat("(", join(items, "|"), ")");
}

std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c == '.') out += '\\';
    out += c;
  }
  return out;
}

// "(layer3|layer4)\.\d+\.(conv1|conv3)"; empty if the stages differ in their modules.
std::string expression(const std::vector<Stage>& stages) {
  std::vector<std::string> names;
  std::set<std::string> rests;
  for (const Stage& stage : stages) {
    names.push_back(escaped(stage.name));
    std::set<std::string> own;
    for (const std::string& module : stage.modules) own.insert(general(split_name(module).second));
    if (!rests.empty() && own != rests) return "";
    rests = own;
  }
  const std::string number = R"(\d+\.)";
  const bool is_numbered =
      std::all_of(rests.begin(), rests.end(), [&](const std::string& rest) { return rest.starts_with(number); });
  std::vector<std::string> ends;
  for (const std::string& rest : rests) ends.push_back(is_numbered ? rest.substr(number.size()) : rest);
  return cat(alternatives(names), R"(\.)", is_numbered ? number : "", alternatives(ends));
}

}  // namespace

std::vector<Stage> stages_of(const Graph& graph, PeftType method) {
  std::vector<Stage> out;
  for (const std::string& module : adaptable(graph, method)) {
    const std::string stage = split_name(module).first;
    if (stage.empty()) continue;
    const auto found = std::find_if(out.begin(), out.end(), [&](const Stage& s) { return s.name == stage; });
    Stage& to = found != out.end() ? *found : out.emplace_back(Stage{stage, {}});
    to.modules.push_back(module);
  }
  return out;
}

const std::vector<std::string>& place_names() {
  static const std::vector<std::string> kNames{"last", "half", "middle", "all", "gradient"};
  return kNames;
}

std::vector<Stage> stages_at(const std::string& place, const std::vector<Stage>& stages,
                             const std::map<std::string, double>& gradients) {
  const std::size_t half = (stages.size() + 1) / 2, quarter = (stages.size() + 3) / 4;
  const auto part = [&](std::size_t begin, std::size_t count) {
    const auto from = stages.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<Stage>(from, from + static_cast<std::ptrdiff_t>(count));
  };
  if (place == "all") return stages;
  if (place == "middle") return part(stages.size() / 4, half);
  if (place != "gradient") {
    const std::size_t count = place == "last" ? quarter : half;
    return part(stages.size() - count, count);
  }
  std::vector<std::pair<double, std::string>> order;
  for (const Stage& stage : stages) order.emplace_back(-mean_gradient({stage}, gradients), stage.name);
  std::sort(order.begin(), order.end());
  std::vector<Stage> out;
  for (const Stage& stage : stages) {
    if (std::any_of(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half),
                    [&](const auto& chosen) { return chosen.second == stage.name; }))
      out.push_back(stage);
  }
  return out;
}

double mean_gradient(const std::vector<Stage>& stages, const std::map<std::string, double>& gradients) {
  double sum = 0, count = 0;
  for (const Stage& stage : stages) {
    for (const std::string& module : stage.modules) {
      const auto found = gradients.find(module);
      if (found == gradients.end()) continue;
      sum += found->second;
      ++count;
    }
  }
  return count > 0 ? sum / count : 0;
}

std::string targets_yaml(const Graph& graph, const std::vector<Stage>& stages) {
  std::set<std::string> chosen;
  for (const Stage& stage : stages) chosen.insert(stage.modules.begin(), stage.modules.end());
  const std::string pattern = expression(stages);
  const bool fits = !pattern.empty() && std::all_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
    return matches(pattern, node.name) == chosen.contains(node.name);
  });
  return fits ? cat("'", pattern, "'") : cat("[", join({chosen.begin(), chosen.end()}, ", "), "]");
}

}  // namespace lorikeet
