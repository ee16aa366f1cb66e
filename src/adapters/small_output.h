// The weight of a new output layer, W (classes, features), as a function of fewer learned numbers. The bias is learned
// as always. What is fixed is computed again from a seed or from the base, and not saved:
//   low rank:   W = B·A, B `head_B` (classes, r) and A `head_A` (r, features) learned;
//   projected:  W = V·P, V `head_V` (classes, d) learned, P (d, features) fixed: random, normal with variance 1 / d
//               (base/counter_random.h), or the leading right singular vectors of the base's own output layer
//               (adapters/singular_basis.h). Either keeps the length of a feature vector, more or less;
//   tied:       W[c, f] = ±v[i], v `head_v` (n,) learned; i and the sign are random functions of (c, f), as in hashed
//               networks (Chen et al., 2015, arXiv:1504.04788).
// All start with the variance that PyTorch's initialisation of Linear gives W, 1 / (3 · features).
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/layer_adapter.h"
#include "base/json.h"
#include "graph/graph.h"
#include "io/named_tensors.h"

namespace lorikeet {

struct SmallOutput {
  enum class Form { kLowRank, kProjected, kTied };
  enum class Basis { kRandom, kOutput };

  Form form = Form::kProjected;
  /// r, d or n.
  std::int64_t size = 1;
  /// Of the projection.
  Basis basis = Basis::kRandom;
  /// Of what is random and fixed.
  std::int64_t seed = 0;

  bool operator==(const SmallOutput&) const = default;
};

/// "rank", "projected", "tied", in the order of Form: the keys in recipes and in lorikeet.json.
const std::vector<std::string>& small_output_forms();
/// "random", "output", in the order of Basis.
const std::vector<std::string>& small_output_bases();

/// {"projected": 64, "basis": "random", "seed": 0}.
/// "projected: 16, basis: output".
std::string describe(const SmallOutput& output);

Json small_output_json(const SmallOutput& output);
/// The inverse, for untrusted JSON. Throws Error that starts with `where`.
SmallOutput parse_small_output(const Json& json, const std::string& where);
/// The same for options of a user: throws UsageError.
SmallOutput small_output_options(const Json& json, const std::string& where);

/// Throws UsageError if the size does not fit a layer of `features` and `classes`, or the base's own output (outputs,
/// features).
void check_small_output(const SmallOutput& output, const Linear& layer, std::int64_t base_outputs);

/// The learned tensors of the output node, with their keys: "fc.head_V", "fc.bias".
std::vector<Parameter> small_output_parameters(const SmallOutput& output, const Graph& graph, NodeId node);

/// `base_weight`: of the base's own output layer, used by Basis::kOutput only.
std::unique_ptr<LayerAdapter> make_small_output(const SmallOutput& output, const Linear& layer,
                                                const at::Tensor& base_weight, at::Generator& generator);

/// The weight (classes, features) of the output `node` with these tensors of an adapter, for PEFT's file.
at::Tensor dense_output_weight(const SmallOutput& output, const Node& node, const at::Tensor& base_weight,
                               const NamedTensors& tensors);

/// Whether the key is that of one of these tensors other than the bias: "fc.head_V".
bool is_small_output_tensor(std::string_view key);

}  // namespace lorikeet
