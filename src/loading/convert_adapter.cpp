#include "loading/convert_adapter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "adapters/attention.h"
#include "adapters/ia3.h"
#include "adapters/matching.h"
#include "adapters/methods.h"
#include "adapters/pattern_table.h"
#include "adapters/unilora.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// The libraries give two operations' parameters other shapes: torchvision's LayerScale is (C, 1, 1), transformers'
// GlobalResponseNorm (1, 1, 1, C), those of the others are (C,). Only torchvision saves the buffers of window
// attention.
Graph with_shapes_of(Library library, Graph graph) {
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    Op op = graph.node(id).op;
    if (auto* scale = std::get_if<LayerScale>(&op)) scale->spatial = library == Library::kTorchvision;
    if (auto* norm = std::get_if<GlobalResponseNorm>(&op)) norm->wide_parameters = library == Library::kTransformers;
    if (auto* attention = std::get_if<WindowAttention>(&op)) attention->has_buffers = library == Library::kTorchvision;
    graph.replace(id, std::move(op));
  }
  return graph;
}

// Each node of the network, in both libraries' graphs.
struct Pairs {
  Graph from;
  Graph to;
  std::vector<std::vector<NodeId>> from_nodes;
  std::vector<std::vector<NodeId>> to_nodes;
};

Pairs pair_nodes(const ModelEntry& entry, Library to) {
  if (!entry.names.tables.contains(to)) {
    std::vector<std::string> known;
    for (const auto& [library, table] : entry.names.tables) known.push_back(library_name(library));
    fail(entry.name, ": got the names of ", library_name(to), ", which does not have this network, expected those of ",
         join(known, " or "), ".");
  }
  const Graph network = entry.network();
  const NameTable &own = entry.names.tables.at(entry.library), &other = entry.names.tables.at(to);
  return {entry.build(), with_shapes_of(to, named_for(network, entry.names, to)), renamed_nodes(network, own),
          renamed_nodes(network, other)};
}

class Converter {
 public:
  Converter(const AdapterFolder& adapter, Pairs pairs)
      : adapter_(adapter), pairs_(std::move(pairs)), adaptation_(adapt(pairs_.from, adapter.spec)),
        tensors_(method_of(adaptation_.config).tensors({pairs_.from, adaptation_.targets}, adaptation_.config)) {
    out_.metadata = adapter.metadata;
    out_.spec = adapter.spec;
  }

  AdapterFolder run() {
    AdapterConfig& config = out_.spec.config;
    clear_patterns(config);
    config.modules_to_save.clear();
    for (std::size_t i = 0; i < pairs_.from_nodes.size(); ++i) convert(pairs_.from_nodes[i], pairs_.to_nodes[i]);
    for (const NodeId id : adaptation_.head) {
      for (const auto& parameter : adaptation_.graph.parameters(id)) add(parameter.name, parameter.name);
    }
    for (const auto& parameter : tensors_) {
      if (is_shared_tensor(parameter.name)) add(parameter.name, parameter.name);
    }
    check_order();
    for (const auto& [name, tensor] : adapter_.for_peft)
      out_.for_peft.add(to(pairs_.to.output()).name + ".weight", tensor);
    join_attention(pairs_.to, targets_, out_);
    if (config.has_targets()) config.target_modules = exact_targets(pairs_.to, targets_);
    if (!std::holds_alternative<std::monostate>(config.feedforward_modules)) config.feedforward_modules = feedforward_;
    return std::move(out_);
  }

 private:
  using Nodes = std::vector<NodeId>;

  const Node& from(NodeId id) const { return pairs_.from.node(id); }
  const Node& to(NodeId id) const { return pairs_.to.node(id); }
  const at::Tensor& tensor(const std::string& name) const {
    const at::Tensor* found = adapter_.tensors.find(name);
    if (found == nullptr) fail("adapter: got no tensor '", name, "'.");
    return *found;
  }
  void add(const std::string& name, const std::string& old) { out_.tensors.add(name, tensor(old)); }

  const AdapterTarget* target(NodeId id) const { return find_target(adaptation_.targets, id); }
  static bool contains(const Nodes& nodes, NodeId id) {
    return std::find(nodes.begin(), nodes.end(), id) != nodes.end();
  }

  void convert(const Nodes& olds, const Nodes& news) {
    if (olds.size() != news.size()) std::for_each(olds.begin(), olds.end(), [&](NodeId id) { check_divisible(id); });
    if (olds.size() == news.size()) {
      for (std::size_t i = 0; i < olds.size(); ++i) rename(olds[i], news[i]);
    } else if (olds.size() == 1) {
      split(olds[0], news);
    } else {
      join(olds, news[0]);
    }
  }

  // The keys of what is learned in the node itself: of all of it, or of its bias.
  std::vector<std::pair<std::string, std::string>> own_keys(NodeId old_id, NodeId new_id) const {
    std::vector<std::pair<std::string, std::string>> out;
    const auto olds = adaptation_.graph.parameters(old_id), news = pairs_.to.parameters(new_id);
    if (adaptation_.small_output && adaptation_.replaced == old_id) {
      const std::string &old_name = from(old_id).name, &new_name = to(new_id).name;
      for (const auto& parameter : small_output_parameters(*adaptation_.small_output, adaptation_.graph, old_id))
        out.emplace_back(parameter.name, new_name + parameter.name.substr(old_name.size()));
    } else if (contains(adaptation_.retrained, old_id)) {
      for (std::size_t i = 0; i < olds.size(); ++i) out.emplace_back(olds[i].name, news[i].name);
    } else if (contains(adaptation_.biases, old_id)) {
      const bool adapted = target(old_id) != nullptr;
      if (out_proj_of_attention(pairs_.to, new_id))
        fail(from(old_id).name, ": got a trained bias, which is ", to(new_id).name,
             ".in_proj_bias over the other names. PEFT's bias does not include it.");
      out.emplace_back(bias_key(old_module(old_id), adapted), bias_key(to(new_id).name, adapted));
    }
    return out;
  }

  void rename(NodeId old_id, NodeId new_id) {
    const bool changes_shape = std::holds_alternative<GlobalResponseNorm>(to(new_id).op);  // of weight and bias
    for (const auto& [old_key, new_key] : own_keys(old_id, new_id)) {
      const at::Tensor& values = tensor(old_key);
      out_.tensors.add(new_key, changes_shape ? values.reshape(pairs_.to.parameters(new_id)[0].shape) : values);
    }
    if (contains(adaptation_.retrained, old_id)) out_.spec.config.modules_to_save.push_back(to(new_id).name);
    if (const AdapterTarget* one = target(old_id)) {
      renamed_.emplace(old_id, new_id);
      for (const std::string& suffix : suffixes(old_id))
        add(to(new_id).name + "." + suffix, old_module(old_id) + "." + suffix);
      put_target(new_id, one->rank, one->scaling, scales_input(old_id));
    }
  }

  // In the keys of the adapter's file.
  const std::string& old_module(NodeId id) const {
    const AdapterTarget* one = target(id);
    return one != nullptr ? module_name(pairs_.from, *one) : from(id).name;
  }

  // The method's own tensors of a target: "lora_A.weight" …
  std::vector<std::string> suffixes(NodeId id) const {
    const std::string prefix = old_module(id) + ".";
    std::vector<std::string> out;
    for (const auto& tensor : tensors_) {
      if (tensor.node == id && !is_shared_tensor(tensor.name)) out.push_back(tensor.name.substr(prefix.size()));
    }
    return out;
  }

  bool scales_input(NodeId id) const { return is_feedforward(from(id).name, adapter_.spec.config); }

  void put_target(NodeId id, std::int64_t rank, double scaling, bool feedforward) {
    AdapterConfig& config = out_.spec.config;
    const std::string& name = to(id).name;
    targets_.push_back(name);
    if (feedforward) feedforward_.push_back(name);
    put_exact(config, name, rank, scaling * rank_divisor(config, rank));
  }

  // Which of a method's tensors have one row an output; the others are the same for all outputs.
  enum class Rows { kShared, kPerOutput };
  Rows rows_of(const std::string& suffix, NodeId id) const {
    const AdapterConfig& config = adapter_.spec.config;
    if (config.peft_type == PeftType::kLora) return suffix.starts_with("lora_A") ? Rows::kShared : Rows::kPerOutput;
    return scales_input(id) ? Rows::kShared : Rows::kPerOutput;
  }

  void check_divisible(NodeId id) const {
    const AdapterConfig& config = adapter_.spec.config;
    if (target(id) == nullptr || config.peft_type == PeftType::kLora || config.peft_type == PeftType::kIa3) return;
    fail(from(id).name, ": got ", method_of(config).name, ", expected LoRA, DoRA or IA3. An adapter of another method ",
         "cannot be divided among query, key and value, or joined, exactly.");
  }

  // Which elements of its vector UniLoRA uses in a layer, and which vector and projection TinyLoRA, depends on the
  // layers before.
  void check_order() const {
    const AdapterConfig& config = adapter_.spec.config;
    const bool is_tinylora = config.peft_type == PeftType::kTinyLora;
    if (!is_tinylora && (config.peft_type != PeftType::kUniLora || config.unilora.save_indices)) return;
    std::vector<AdapterTarget> news = adaptation_.targets;
    for (AdapterTarget& one : news) one.node = renamed_.at(one.node);
    if (registration_order({pairs_.from, adaptation_.targets}) == registration_order({pairs_.to, news})) return;
    if (is_tinylora) {
      fail(
          "adapter: got TinyLoRA on layers that the other library registers in another order, expected a method that "
          "does not number its layers.");
    }
    fail(
        "adapter: got UniLoRA on layers that the other library registers in another order, expected save_indices: "
        "true, with which it does not depend on the order.");
  }

  void split(NodeId old_id, const Nodes& news) {
    const auto parts = static_cast<std::int64_t>(news.size());
    const AdapterTarget* one = target(old_id);
    for (std::size_t i = 0; i < news.size(); ++i) {
      const auto part = [&](const std::string& key) { return tensor(key).chunk(parts, 0)[i].contiguous(); };
      for (const auto& [old_key, new_key] : own_keys(old_id, news[i])) out_.tensors.add(new_key, part(old_key));
      if (contains(adaptation_.retrained, old_id)) out_.spec.config.modules_to_save.push_back(to(news[i]).name);
      if (one == nullptr) continue;
      for (const std::string& suffix : suffixes(old_id)) {
        const std::string key = from(old_id).name + "." + suffix;
        out_.tensors.add(to(news[i]).name + "." + suffix,
                         rows_of(suffix, old_id) == Rows::kShared ? tensor(key) : part(key));
      }
      put_target(news[i], one->rank, one->scaling, scales_input(old_id));
    }
  }

  void join(const Nodes& olds, NodeId new_id) {
    const std::string& name = to(new_id).name;
    const auto count_in = [&](const auto& is_in) {
      return static_cast<std::size_t>(std::count_if(olds.begin(), olds.end(), is_in));
    };
    const std::size_t own = count_in([&](NodeId id) { return !own_keys(id, new_id).empty(); });
    const std::size_t adapted = count_in([&](NodeId id) { return target(id) != nullptr; });
    if (own != 0 && own != olds.size())
      fail(from(olds[0]).name, ": got some of ", counted(olds.size(), "layer"),
           " retrained, expected all or none: they are one, ", name, ", over the other names.");
    if (own != 0) {
      const auto keys = own_keys(olds[0], new_id);
      for (std::size_t k = 0; k < keys.size(); ++k) {
        std::vector<at::Tensor> rows;
        for (const NodeId id : olds) rows.push_back(tensor(own_keys(id, new_id)[k].first));
        out_.tensors.add(keys[k].second, at::cat(rows, 0));
      }
      if (contains(adaptation_.retrained, olds[0])) out_.spec.config.modules_to_save.push_back(name);
    }
    if (adapted == 0) return;
    if (adapter_.spec.config.peft_type == PeftType::kLora) {
      join_lora(olds, new_id, adapted);
    } else {
      join_scales(olds, new_id);
    }
  }

  void join_lora(const Nodes& olds, NodeId new_id, std::size_t adapted) {
    const AdapterConfig& config = adapter_.spec.config;
    const std::string& name = to(new_id).name;
    if (config.use_dora && adapted != olds.size())
      fail(from(olds[0]).name, ": got DoRA on some of ", counted(olds.size(), "layer"), " that are one, ", name,
           ", over the other names, expected it on all of them.");
    const AdapterTarget* first = nullptr;
    for (const NodeId id : olds) first = first == nullptr ? target(id) : first;
    std::int64_t rank = 0;
    for (const NodeId id : olds) rank += target(id) != nullptr ? target(id)->rank : 0;
    std::vector<at::Tensor> downs, ups, rest;
    std::int64_t at = 0;
    for (const NodeId id : olds) {
      const std::int64_t outputs = std::get<Linear>(from(id).op).out;
      at::Tensor up = at::zeros({outputs, rank});
      if (const AdapterTarget* one = target(id)) {
        const std::string prefix = from(id).name + ".";
        downs.push_back(tensor(prefix + "lora_A.weight"));
        // The layers may have other scales; the joined one has the first's.
        up.slice(1, at, at + one->rank).copy_(tensor(prefix + "lora_B.weight") * (one->scaling / first->scaling));
        at += one->rank;
        if (config.lora_bias) rest.push_back(tensor(prefix + "lora_B.bias") * (one->scaling / first->scaling));
        if (config.use_dora) rest.push_back(tensor(prefix + "lora_magnitude_vector"));
      } else if (config.lora_bias) {
        rest.push_back(at::zeros({outputs}));
      }
      ups.push_back(up);
    }
    if (config.lora_bias && config.use_dora) fail(name, ": got DoRA with lora_bias, which is not joined.");
    out_.tensors.add(name + ".lora_A.weight", at::cat(downs, 0));
    out_.tensors.add(name + ".lora_B.weight", at::cat(ups, 0));
    if (!rest.empty())
      out_.tensors.add(name + (config.use_dora ? ".lora_magnitude_vector" : ".lora_B.bias"), at::cat(rest, 0));
    put_target(new_id, rank, first->scaling, false);
  }

  // IA3 of the outputs; a layer without it is scaled by one.
  void join_scales(const Nodes& olds, NodeId new_id) {
    std::vector<at::Tensor> rows;
    std::string suffix;
    for (const NodeId id : olds) {
      if (target(id) == nullptr) {
        rows.push_back(at::ones({std::get<Linear>(from(id).op).out, 1}));
        continue;
      }
      suffix = suffixes(id).front();
      if (rows_of(suffix, id) == Rows::kShared)
        fail(from(id).name, ": got IA3 on its input, expected it on its output. It cannot be joined exactly.");
      rows.push_back(tensor(from(id).name + "." + suffix));
    }
    out_.tensors.add(to(new_id).name + "." + suffix, at::cat(rows, 0));
    put_target(new_id, 0, 1, false);
  }

  const AdapterFolder& adapter_;
  Pairs pairs_;
  Adaptation adaptation_;
  std::vector<Parameter> tensors_;  // the method's
  AdapterFolder out_;
  std::vector<std::string> targets_;
  std::vector<std::string> feedforward_;
  std::map<NodeId, NodeId> renamed_;  // targets
};

}  // namespace

AdapterFolder convert_adapter(const AdapterFolder& adapter, const ModelEntry& entry, Library to) {
  return Converter(adapter, pair_nodes(entry, to)).run();
}

NamedTensors convert_weights(const NamedTensors& weights, const ModelEntry& entry, Library to) {
  const Pairs pairs = pair_nodes(entry, to);
  NamedTensors unordered;
  for (std::size_t i = 0; i < pairs.from_nodes.size(); ++i) {
    const auto &olds = pairs.from_nodes[i], &news = pairs.to_nodes[i];
    const auto parameters = pairs.from.parameters(olds[0]);
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      std::vector<at::Tensor> rows;
      for (const NodeId id : olds) rows.push_back(*weights.find(pairs.from.parameters(id)[p].name));
      const at::Tensor all = rows.size() == 1 ? rows[0] : at::cat(rows, 0);
      const auto parts = all.chunk(static_cast<std::int64_t>(news.size()), 0);
      for (std::size_t n = 0; n < news.size(); ++n) {
        const Parameter parameter = pairs.to.parameters(news[n])[p];
        // With as many axes the sizes are equal, but for an output layer with another number of classes.
        const bool same_axes = all.dim() == static_cast<std::int64_t>(parameter.shape.size());
        unordered.add(parameter.name, (same_axes ? parts[n] : parts[n].reshape(parameter.shape)).contiguous());
      }
    }
  }
  NamedTensors out;
  for (const auto& parameter : pairs.to.parameters()) out.add(parameter.name, *unordered.find(parameter.name));
  for (const auto& [name, tensor] : weights) {
    if (is_head_tensor(name)) out.add(name, tensor);
  }
  return out;
}

Graph converted_graph(const ModelEntry& entry, Library to) { return pair_nodes(entry, to).to; }

}  // namespace lorikeet
