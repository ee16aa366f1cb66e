#include "models/names.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// The numbers in `name` at the places of `#` in `pattern`; nothing if they differ.
std::optional<std::vector<std::string>> match(const std::string& pattern, const std::string& name) {
  std::vector<std::string> numbers;
  std::size_t at = 0;
  for (const char c : pattern) {
    if (c == '#') {
      const std::size_t begin = at;
      while (at < name.size() && std::isdigit(static_cast<unsigned char>(name[at])) != 0) ++at;
      if (at == begin) return std::nullopt;
      numbers.push_back(name.substr(begin, at - begin));
    } else {
      if (at >= name.size() || name[at] != c) return std::nullopt;
      ++at;
    }
  }
  return at == name.size() ? std::optional(std::move(numbers)) : std::nullopt;
}

std::string filled(const std::string& pattern, const std::vector<std::string>& numbers) {
  std::string out;
  std::size_t used = 0;
  for (const char c : pattern) {
    if (c == '#') {
      out += numbers.at(used++);
    } else {
      out += c;
    }
  }
  return out;
}

struct Renamed {
  Graph graph;
  std::vector<std::vector<NodeId>> nodes;
};

// Declares the modules called `prefix`, which ends with "#", in the order of their numbers: "stages.0", "stages.1" …
void declare_numbered(Graph& out, const Graph& graph, const NameTable& names, const std::string& prefix) {
  for (const Node& node : graph.nodes()) {
    for (const Rename& row : names) {
      if (!row.to.starts_with(prefix)) continue;
      if (const auto numbers = match(row.from, node.name)) out.declare(filled(prefix, *numbers));
    }
  }
}

// The order in which the library registers what the table names: its rows, but numbered modules by their numbers even
// if the first of them lacks the first row.
void declare_names(Graph& out, const Graph& graph, const NameTable& names) {
  std::set<std::string> numbered;
  for (const Rename& row : names) {
    for (std::size_t at = row.to.find('#'); at != std::string::npos; at = row.to.find('#', at + 1)) {
      const std::string prefix = row.to.substr(0, at + 1);
      if (numbered.insert(prefix).second) declare_numbered(out, graph, names, prefix);
    }
    for (const Node& node : graph.nodes()) {
      const auto numbers = match(row.from, node.name);
      if (!numbers) continue;
      for (const std::string& name : {row.to, row.key, row.value}) {
        if (!name.empty()) out.declare(filled(name, *numbers));
      }
    }
  }
}

Renamed rename(const Graph& graph, const NameTable& names) {
  Renamed out;
  declare_names(out.graph, graph, names);
  for (const Node& node : graph.nodes()) {
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs)
      inputs.insert(inputs.end(), out.nodes[input].begin(), out.nodes[input].end());
    std::vector<NodeId> added;
    for (const Rename& row : names) {
      const auto numbers = match(row.from, node.name);
      if (!numbers) continue;
      if (row.key.empty()) {
        added = {out.graph.add(filled(row.to, *numbers), node.op, inputs)};
      } else {
        Linear third = std::get<Linear>(node.op);
        third.out /= 3;
        for (const std::string& name : {row.to, row.key, row.value})
          added.push_back(out.graph.add(filled(name, *numbers), third, inputs));
      }
      for (const NodeId id : added) out.graph.set_tensor_prefix(id, row.tensor_prefix);
      break;
    }
    if (added.empty()) {
      assert(names.empty() || !has_parameters(node.op));  // an empty table keeps every name
      added = {out.graph.add(node.name, node.op, inputs)};
    }
    out.nodes.push_back(std::move(added));
  }
  return out;
}

}  // namespace

const std::vector<std::string>& library_names() {
  static const std::vector<std::string> kNames{"torchvision", "timm", "transformers"};  // in the order of Library
  return kNames;
}

std::string library_name(Library library) { return library_names()[static_cast<std::size_t>(library)]; }

Library library_named(const std::string& name) {
  const auto& names = library_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) fail_usage("names: got '", printable(name), "', expected one of ", join(names, ", "), ".");
  return static_cast<Library>(found - names.begin());
}

Graph renamed(const Graph& graph, const NameTable& names) { return rename(graph, names).graph; }

std::vector<std::vector<NodeId>> renamed_nodes(const Graph& graph, const NameTable& names) {
  return rename(graph, names).nodes;
}

}  // namespace lorikeet
