#include "adapters/tinylora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>

#include "adapters/low_rank_adapter.h"
#include "adapters/singular_basis.h"
#include "adapters/weight_adapter.h"
#include "base/error.h"
#include "base/text.h"
#include "base/torch_random.h"

namespace lorikeet {
namespace {

// Where a layer stands among the adapted ones, in the order of the network's modules, which PEFT counts.
struct Place {
  std::int64_t index = 0;
  std::int64_t group = 0;
};

std::vector<Place> places(const AdaptedLayers& layers, const TinyLoraOptions& options) {
  const auto count = static_cast<std::int64_t>(layers.targets.size());
  // Python's round: halves to even.
  const double groups = std::nearbyint(static_cast<double>(count) * (1.0 - options.weight_tying));
  const std::int64_t group_count = std::max<std::int64_t>(1, static_cast<std::int64_t>(groups));
  const std::int64_t group_size = std::max<std::int64_t>(1, count / group_count);
  std::vector<Place> out(layers.targets.size());
  std::int64_t index = 0;
  for (const std::size_t i : registration_order(layers)) {
    out[i] = {index, std::min(index / group_size, group_count - 1)};
    ++index;
  }
  return out;
}

std::string vector_key(std::int64_t group) { return cat("tinylora_v.", group); }

class TinyLora final : public LowRankAdapter {
 public:
  struct Tensors {
    at::Tensor v, A, B, P;
  };

  TinyLora(const Op& op, std::string key, Tensors tensors, const TinyLoraOptions& options)
      : LowRankAdapter(op, /*scaling=*/1, options.dropout), key_(std::move(key)), tensors_(std::move(tensors)),
        saves_projection_(options.save_projection) {}

  std::vector<Part> parts() override {
    std::vector<Part> out{{key_, &tensors_.v},
                          {"tinylora_A", &tensors_.A, /*learned=*/false},
                          {"tinylora_B", &tensors_.B, /*learned=*/false}};
    if (saves_projection_) out.push_back({"tinylora_P", &tensors_.P, /*learned=*/false});
    return out;
  }
  std::vector<at::Tensor*> fixed() override {
    return saves_projection_ ? std::vector<at::Tensor*>{} : std::vector<at::Tensor*>{&tensors_.P};
  }

 private:
  Factors factors() const override {
    const std::int64_t rank = tensors_.P.size(1);
    const at::Tensor P = tensors_.P.to(tensors_.v.scalar_type()).flatten(1);
    return {tensors_.A, at::mm(tensors_.B.flatten(1), at::matmul(tensors_.v, P).view({rank, rank}))};
  }

  std::string key_;
  Tensors tensors_;
  bool saves_projection_;
};

// The rank of each layer. Throws UsageError if the projections of all layers are too large.
std::vector<std::int64_t> ranks_of(const AdaptedLayers& layers, const TinyLoraOptions& options) {
  constexpr std::int64_t kMostElements = 1 << 28;  // 1 GiB
  std::int64_t left = kMostElements / options.u;
  std::vector<std::int64_t> out;
  for (const AdapterTarget& target : layers.targets) {
    const Node& node = layers.graph.node(target.node);
    const std::int64_t most = weight_shape(node.op).greatest_rank();
    out.push_back(std::min(target.rank, most));
    check_basis_rank(out.back(), most, "r: " + node.name);
    left -= out.back() * out.back();
    if (left < 0) {
      fail_usage("u, r: got ", options.u, " and ", out.back(), " for ", counted(layers.targets.size(), "module"),
                 ", expected at most 1 GiB of projections (u, r, r) for all of them. Set a smaller u or r.");
    }
  }
  return out;
}

}  // namespace

std::vector<Parameter> tinylora_tensors(const AdaptedLayers& layers, const AdapterConfig& config) {
  const TinyLoraOptions& options = config.tinylora;
  const std::vector<Place> all = places(layers, options);
  const std::vector<std::int64_t> ranks = ranks_of(layers, options);
  std::vector<Parameter> out;
  std::vector<std::string> listed;
  for (std::size_t i = 0; i < layers.targets.size(); ++i) {
    const AdapterTarget& target = layers.targets[i];
    const std::int64_t rank = ranks[i];
    if (const std::string key = vector_key(all[i].group);
        std::find(listed.begin(), listed.end(), key) == listed.end()) {
      out.push_back({key, target.node, {options.u}});
      listed.push_back(key);
    }
    const std::string module = module_name(layers.graph, target) + ".tinylora_";
    const FactorShapes shapes = factor_shapes(layers.graph.node(target.node).op, rank);
    out.push_back({module + "A", target.node, shapes.A, /*buffer=*/true});
    out.push_back({module + "B", target.node, shapes.B, /*buffer=*/true});
    if (options.save_projection) out.push_back({module + "P", target.node, {options.u, rank, rank}, /*buffer=*/true});
  }
  return out;
}

std::vector<std::unique_ptr<LayerAdapter>> make_tinylora(const AdaptedLayers& layers,
                                                         const std::vector<NodeTensors>& base,
                                                         const AdapterConfig& config, at::Generator& generator) {
  const TinyLoraOptions& options = config.tinylora;
  const std::vector<Place> all = places(layers, options);
  std::map<std::int64_t, at::Tensor> vectors;
  for (const Place& place : all) vectors.emplace(place.group, at::zeros({options.u}));
  if (options.starts_uniform) {
    for (auto& [group, v] : vectors) v.uniform_(-options.init_v_bound, options.init_v_bound, generator);
  }
  const std::vector<std::int64_t> ranks = ranks_of(layers, options);
  std::vector<RankedWeight> weights;
  for (std::size_t i = 0; i < ranks.size(); ++i) weights.push_back({base[layers.targets[i].node].weight(), ranks[i]});
  const std::vector<SingularBasis> bases = singular_bases(weights);
  std::vector<std::unique_ptr<LayerAdapter>> out;
  for (std::size_t i = 0; i < layers.targets.size(); ++i) {
    const Node& node = layers.graph.node(layers.targets[i].node);
    const std::int64_t rank = ranks[i];
    const SingularBasis& basis = bases[i];
    const at::Tensor root = at::sqrt(basis.values);
    const FactorShapes shapes = factor_shapes(node.op, rank);
    TinyLora::Tensors tensors{vectors.at(all[i].group), (root.unsqueeze(1) * basis.right).view(shapes.A),
                              (basis.left * root).view(shapes.B), at::empty({options.u, rank, rank})};
    TorchRandom random(static_cast<std::uint64_t>(options.projection_seed + all[i].index));
    random.normal(std::span(tensors.P.mutable_data_ptr<float>(), static_cast<std::size_t>(tensors.P.numel())), 0,
                  1 / std::sqrt(static_cast<double>(rank)));
    out.push_back(std::make_unique<TinyLora>(node.op, vector_key(all[i].group), std::move(tensors), options));
  }
  return out;
}

}  // namespace lorikeet
