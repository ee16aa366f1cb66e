#include "adapters/small_output.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "adapters/singular_basis.h"
#include "adapters/weight_adapter.h"
#include "base/counter_random.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

using Form = SmallOutput::Form;
using Basis = SmallOutput::Basis;

constexpr std::int64_t kMostSize = 1 << 24;
constexpr std::int64_t kMostSeed = 1LL << 53;

at::Tensor uniform(at::IntArrayRef shape, double bound, at::Generator& generator) {
  return at::empty(shape).uniform_(-bound, bound, generator);
}

at::Tensor random_projection(const SmallOutput& output, std::int64_t features) {
  at::Tensor out = at::empty({output.size, features});
  float* const elements = out.mutable_data_ptr<float>();
  const double scale = std::sqrt(static_cast<double>(output.size));
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    elements[i] = static_cast<float>(
        counter_normal(static_cast<std::uint64_t>(output.seed), static_cast<std::uint64_t>(i)) / scale);
  }
  return out;
}

// For each element of the weight, the element of v and its sign: word / 2^32 · n from the upper half, and the lowest
// bit, of the element's word.
struct Ties {
  at::Tensor index;  // (classes · features,), int64
  at::Tensor sign;   // the same, ±1
};
Ties random_ties(const SmallOutput& output, const Linear& layer) {
  const std::int64_t count = layer.out * layer.in;
  Ties out{at::empty({count}, at::kLong), at::empty({count})};
  auto* const index = out.index.mutable_data_ptr<std::int64_t>();
  auto* const sign = out.sign.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t word = counter_word(static_cast<std::uint64_t>(output.seed), static_cast<std::uint64_t>(i));
    index[i] = static_cast<std::int64_t>(((word >> 32) * static_cast<std::uint64_t>(output.size)) >> 32);
    sign[i] = (word & 1) != 0 ? -1.0F : 1.0F;
  }
  return out;
}

// Replaces the node's own weight and bias.
class SmallOutputLayer : public LayerAdapter {
 public:
  std::vector<Part> parts() final {
    std::vector<Part> out = weight_parts();
    if (bias_.defined()) out.push_back({"bias", &bias_});
    return out;
  }
  at::Tensor forward(const Op&, const NodeTensors&, const at::Tensor& x, bool) const final {
    const at::Tensor bias = bias_.defined() ? bias_.to(x.scalar_type()) : bias_;
    return at::linear(x, weight().to(x.scalar_type()), bias);
  }
  NodeTensors merged(const Node&, const NodeTensors& base) const final {
    NodeTensors out = base;
    out.set("weight", weight());
    if (bias_.defined()) out.set("bias", bias_);
    return out;
  }
  int kept_weights() const final { return 1; }

 protected:
  explicit SmallOutputLayer(at::Tensor bias) : bias_(std::move(bias)) {}

 private:
  virtual std::vector<Part> weight_parts() = 0;
  /// (classes, features), differentiable.
  virtual at::Tensor weight() const = 0;

  at::Tensor bias_;
};

class LowRankOutput final : public SmallOutputLayer {
 public:
  LowRankOutput(at::Tensor A, at::Tensor B, at::Tensor bias)
      : SmallOutputLayer(std::move(bias)), A_(std::move(A)), B_(std::move(B)) {}

 private:
  std::vector<Part> weight_parts() override { return {{"head_A", &A_}, {"head_B", &B_}}; }
  at::Tensor weight() const override { return at::mm(B_, A_); }

  at::Tensor A_, B_;
};

class ProjectedOutput final : public SmallOutputLayer {
 public:
  ProjectedOutput(at::Tensor projection, at::Tensor V, at::Tensor bias)
      : SmallOutputLayer(std::move(bias)), projection_(std::move(projection)), V_(std::move(V)) {}
  std::vector<at::Tensor*> fixed() override { return {&projection_}; }

 private:
  std::vector<Part> weight_parts() override { return {{"head_V", &V_}}; }
  at::Tensor weight() const override { return at::mm(V_, projection_.to(V_.scalar_type())); }

  at::Tensor projection_, V_;
};

class TiedOutput final : public SmallOutputLayer {
 public:
  TiedOutput(Ties ties, std::int64_t classes, at::Tensor v, at::Tensor bias)
      : SmallOutputLayer(std::move(bias)), ties_(std::move(ties)), classes_(classes), v_(std::move(v)) {}
  std::vector<at::Tensor*> fixed() override { return {&ties_.index, &ties_.sign}; }

 private:
  std::vector<Part> weight_parts() override { return {{"head_v", &v_}}; }
  at::Tensor weight() const override {
    const at::Tensor chosen = at::index_select(v_, 0, ties_.index) * ties_.sign.to(v_.scalar_type());
    return chosen.view({classes_, -1});
  }

  Ties ties_;
  std::int64_t classes_;
  at::Tensor v_;
};

// Suffix and shape of the learned tensors, except the bias.
std::vector<AdapterTensor> weight_tensors(const SmallOutput& output, const Linear& layer) {
  switch (output.form) {
    case Form::kLowRank: return {{"head_A", {output.size, layer.in}}, {"head_B", {layer.out, output.size}}};
    case Form::kProjected: return {{"head_V", {layer.out, output.size}}};
    case Form::kTied: return {{"head_v", {output.size}}};
  }
  return {};
}

std::int64_t integer_of(const Json& json, const std::string& key, std::int64_t most, const std::string& where) {
  const Json& value = json.at(key);
  const std::int64_t least = key == "seed" ? 0 : 1;
  if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
      value.get<double>() > static_cast<double>(most)) {
    fail(where, ": ", key, ": got ", printable(value.dump(), 60), ", expected an integer from ", least, " to ", most,
         ".");
  }
  return value.get<std::int64_t>();
}

}  // namespace

const std::vector<std::string>& small_output_forms() {
  static const std::vector<std::string> kForms{"rank", "projected", "tied"};
  return kForms;
}

const std::vector<std::string>& small_output_bases() {
  static const std::vector<std::string> kBases{"random", "output"};
  return kBases;
}

std::string describe(const SmallOutput& output) {
  const std::string& form = small_output_forms()[static_cast<std::size_t>(output.form)];
  const bool has_basis = output.form == Form::kProjected;
  return cat(form, ": ", output.size,
             has_basis ? ", basis: " + small_output_bases()[static_cast<std::size_t>(output.basis)] : "");
}

Json small_output_json(const SmallOutput& output) {
  Json out{{small_output_forms()[static_cast<std::size_t>(output.form)], output.size}};
  if (output.form == Form::kProjected) out["basis"] = small_output_bases()[static_cast<std::size_t>(output.basis)];
  const bool is_random =
      output.form == Form::kTied || (output.form == Form::kProjected && output.basis == Basis::kRandom);
  if (is_random) out["seed"] = output.seed;
  return out;
}

SmallOutput parse_small_output(const Json& json, const std::string& where) {
  if (!json.is_object())
    fail(where, ": got ", json_kind(json), ", expected an object with one of ", join(small_output_forms(), ", "), ".");
  SmallOutput out;
  int forms = 0;
  for (std::size_t i = 0; i < small_output_forms().size(); ++i) {
    const std::string& key = small_output_forms()[i];
    if (!json.contains(key)) continue;
    ++forms;
    out.form = static_cast<Form>(i);
    out.size = integer_of(json, key, kMostSize, where);
  }
  if (forms != 1) fail(where, ": got ", forms, " of ", join(small_output_forms(), ", "), ", expected one.");
  for (const auto& [key, value] : json.items()) {
    if (key == "seed" && out.form != Form::kLowRank) {
      out.seed = integer_of(json, key, kMostSeed, where);
    } else if (key == "basis" && out.form == Form::kProjected) {
      const auto& bases = small_output_bases();
      const auto found =
          value.is_string() ? std::find(bases.begin(), bases.end(), value.get<std::string>()) : bases.end();
      if (found == bases.end())
        fail(where, ": basis: got ", printable(value.dump(), 60), ", expected ", join(bases, " or "), ".");
      out.basis = static_cast<Basis>(found - bases.begin());
    } else if (key != small_output_forms()[static_cast<std::size_t>(out.form)]) {
      fail(where, ": got '", printable(key), "' with ", small_output_forms()[static_cast<std::size_t>(out.form)],
           ", which does not have it.");
    }
  }
  return out;
}

SmallOutput small_output_options(const Json& json, const std::string& where) {
  try {
    return parse_small_output(json, where);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

void check_small_output(const SmallOutput& output, const Linear& layer, std::int64_t base_outputs) {
  const std::string& key = small_output_forms()[static_cast<std::size_t>(output.form)];
  std::int64_t most = layer.in;
  if (output.form == Form::kLowRank) most = std::min(layer.in, layer.out);
  if (output.form == Form::kTied) most = layer.in * layer.out;
  const bool is_basis = output.form == Form::kProjected && output.basis == Basis::kOutput;
  if (is_basis) most = std::min(layer.in, base_outputs);
  if (output.size < 1 || output.size > most) {
    fail_usage("head: ", key, ": got ", output.size, ", expected 1 to ", most, " for an output of ", layer.in,
               " features and ", layer.out, " classes.");
  }
  if (is_basis) check_basis_rank(output.size, most, "head: " + key);
}

std::vector<Parameter> small_output_parameters(const SmallOutput& output, const Graph& graph, NodeId node) {
  const auto& layer = std::get<Linear>(graph.node(node).op);
  const std::string prefix = graph.node(node).name + ".";
  std::vector<Parameter> out;
  for (auto& tensor : weight_tensors(output, layer))
    out.push_back({prefix + tensor.suffix, node, std::move(tensor.shape)});
  if (layer.bias) out.push_back({prefix + "bias", node, {layer.out}});
  return out;
}

std::unique_ptr<LayerAdapter> make_small_output(const SmallOutput& output, const Linear& layer,
                                                const at::Tensor& base_weight, at::Generator& generator) {
  const double bound = 1 / std::sqrt(static_cast<double>(layer.in));  // of nn.Linear
  const auto start = [&](at::IntArrayRef shape) { return uniform(shape, bound, generator); };
  const auto start_bias = [&] { return layer.bias ? start({layer.out}) : at::Tensor(); };
  switch (output.form) {
    case Form::kLowRank: {
      const at::Tensor A = start({output.size, layer.in});
      const at::Tensor B =
          uniform({layer.out, output.size}, std::sqrt(3 / static_cast<double>(output.size)), generator);
      return std::make_unique<LowRankOutput>(A, B, start_bias());
    }
    case Form::kProjected: {
      const at::Tensor projection = output.basis == Basis::kRandom ? random_projection(output, layer.in)
                                                                   : singular_basis(base_weight, output.size).right;
      const at::Tensor V = start({layer.out, output.size});
      return std::make_unique<ProjectedOutput>(projection, V, start_bias());
    }
    case Form::kTied: {
      const at::Tensor v = start({output.size});
      return std::make_unique<TiedOutput>(random_ties(output, layer), layer.out, v, start_bias());
    }
  }
  return nullptr;
}

at::Tensor dense_output_weight(const SmallOutput& output, const Node& node, const at::Tensor& base_weight,
                               const NamedTensors& tensors) {
  at::Generator generator = at::detail::createCPUGenerator(/*seed=*/0);  // of values that are replaced
  const auto layer = make_small_output(output, std::get<Linear>(node.op), base_weight, generator);
  for (const auto& part : layer->parts()) *part.tensor = *tensors.find(node.name + "." + part.suffix);
  return layer->merged(node, {{"weight", at::Tensor()}, {"bias", at::Tensor()}}).weight().contiguous();
}

bool is_small_output_tensor(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  const std::string_view suffix = key.substr(dot == std::string_view::npos ? 0 : dot + 1);
  return dot != std::string_view::npos &&
         (suffix == "head_A" || suffix == "head_B" || suffix == "head_V" || suffix == "head_v");
}

}  // namespace lorikeet
