// One network under several libraries' names. A family of models builds its graph once, under one library's names, and
// says by a table what another library calls the same modules.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// Whose names a graph's modules have.
enum class Library { kTorchvision, kTimm, kTransformers };

/// "torchvision", "timm", "transformers".
std::string library_name(Library library);
/// The three names.
const std::vector<std::string>& library_names();
/// Throws UsageError if it is none of them.
Library library_named(const std::string& name);

/// One module or tensor of the graph, and its name in the other library. `#` stands for a number, in `to` for that of
/// the same place in `from`.
struct Rename {
  std::string from;
  std::string to;
  /// As Node::tensor_prefix.
  std::string tensor_prefix = {};
  /// Of a Linear that computes queries, keys and values at once where the other library has three: theirs are `to`,
  /// `key` and `value`.
  std::string key = {};
  std::string value = {};
};

/// In the order in which the other library registers its modules.
using NameTable = std::vector<Rename>;

/// `graph` under the other library's names. Nodes that the table does not name, those without tensors, keep their
/// names. An empty table keeps every name. REQUIRES: every module with tensors is in a table that is not empty.
Graph renamed(const Graph& graph, const NameTable& names);

/// For each node of `graph` those of renamed(graph, names): one, or three for a split Linear.
std::vector<std::vector<NodeId>> renamed_nodes(const Graph& graph, const NameTable& names);

}  // namespace lorikeet
