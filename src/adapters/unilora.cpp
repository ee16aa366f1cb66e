#include "adapters/unilora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "adapters/low_rank_adapter.h"
#include "adapters/weight_adapter.h"
#include "base/error.h"
#include "base/numpy_random.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxElements = 1 << 26;  // of A and B of all layers

struct MatrixShapes {
  std::vector<std::int64_t> A;
  std::vector<std::int64_t> B;
};

MatrixShapes matrix_shapes(const Op& op, std::int64_t rank) {
  const WeightShape shape = weight_shape(op);
  return {{rank, shape.columns()}, {shape.out, rank}};
}

// PEFT's generate_index: each element of the vector as often as the others, or once more. int64 (count,).
at::Tensor shuffled_indices(std::int64_t count, const UniLoraOptions& options) {
  const std::int64_t length = options.theta_d_length;
  NumpyRandom random(static_cast<std::uint64_t>(options.proj_seed));
  at::Tensor out = at::empty({count}, at::kLong);
  const std::span<std::int64_t> indices(out.mutable_data_ptr<std::int64_t>(), static_cast<std::size_t>(count));
  const std::int64_t uses = count / length;
  auto at = indices.begin();
  for (std::int64_t i = 0; i < length; ++i) at = std::fill_n(at, uses, i);
  const auto extra = random.choice(length, count % length);
  std::copy(extra.begin(), extra.end(), at);
  random.shuffle(indices);
  return out;
}

// A matrix of elements of the vector.
struct Selection {
  at::Tensor indices;  // int64
  at::Tensor scales;   // where the file holds them

  at::Tensor of(const at::Tensor& vector) const {
    const at::Tensor elements = vector.index_select(0, indices.flatten()).view(indices.sizes());
    return scales.defined() ? elements * scales : elements;
  }
};

class UniLora final : public LowRankAdapter {
 public:
  // `scales` are those of the vector's elements.
  UniLora(const Op& op, at::Tensor vector, at::Tensor scales, Selection A, Selection B, const UniLoraOptions& options)
      : LowRankAdapter(op, /*scaling=*/1, options.dropout), is_saved_(options.save_indices), vector_(std::move(vector)),
        scales_(std::move(scales)), A_(std::move(A)), B_(std::move(B)) {
    if (!is_saved_) return;
    for (Selection* selection : {&A_, &B_})
      selection->scales = scales_.index_select(0, selection->indices.flatten()).view(selection->indices.sizes());
  }

  std::vector<Part> parts() override {
    std::vector<Part> out{{"unilora_theta_d", &vector_}};
    if (!is_saved_) return out;
    out.push_back({"unilora_indices_A", &A_.indices, /*learned=*/false});
    out.push_back({"unilora_indices_B", &B_.indices, /*learned=*/false});
    out.push_back({"unilora_scales_A", &A_.scales, /*learned=*/false});
    out.push_back({"unilora_scales_B", &B_.scales, /*learned=*/false});
    return out;
  }

  std::vector<at::Tensor*> fixed() override {
    std::vector<at::Tensor*> out{&scales_};
    if (!is_saved_) out.insert(out.end(), {&A_.indices, &B_.indices});
    return out;
  }

 private:
  Factors factors() const override {
    const at::Tensor vector = is_saved_ ? vector_ : vector_ * scales_;
    return {A_.of(vector), B_.of(vector)};
  }

  bool is_saved_;
  at::Tensor vector_;
  at::Tensor scales_;  // 1 / √uses, 0 of an element that is not used
  Selection A_;
  Selection B_;
};

}  // namespace

std::int64_t unilora_elements(const AdaptedLayers& layers, const AdapterConfig& config) {
  std::int64_t for_each_rank = 0;
  for (const AdapterTarget& target : layers.targets) {
    const WeightShape shape = weight_shape(layers.graph.node(target.node).op);
    for_each_rank += shape.columns() + shape.out;
  }
  if (for_each_rank > 0 && config.r > kMaxElements / for_each_rank) {
    fail_usage("r: got ", config.r, ", expected at most ", kMaxElements / for_each_rank,
               ", with which A and B of these ", layers.targets.size(), " modules have 2^26 elements.");
  }
  return config.r * for_each_rank;
}

std::vector<Parameter> unilora_tensors(const AdaptedLayers& layers, const AdapterConfig& config) {
  unilora_elements(layers, config);
  std::vector<Parameter> out;
  for (const AdapterTarget& target : layers.targets) {
    if (out.empty()) out.push_back({"unilora_theta_d", target.node, {config.unilora.theta_d_length}});
    if (!config.unilora.save_indices) break;
    const MatrixShapes shapes = matrix_shapes(layers.graph.node(target.node).op, config.r);
    const std::string& module = module_name(layers.graph, target);
    for (const char* kind : {"indices", "scales"}) {
      out.push_back({cat(module, ".unilora_", kind, "_A"), target.node, shapes.A, /*buffer=*/true});
      out.push_back({cat(module, ".unilora_", kind, "_B"), target.node, shapes.B, /*buffer=*/true});
    }
  }
  return out;
}

std::vector<std::unique_ptr<LayerAdapter>> start_unilora(const AdaptedLayers& layers, const std::vector<NodeTensors>&,
                                                         const AdapterConfig& config, at::Generator& generator) {
  const UniLoraOptions& options = config.unilora;
  const at::Tensor indices = shuffled_indices(unilora_elements(layers, config), options);
  const at::Tensor uses = at::bincount(indices, {}, options.theta_d_length).to(at::kFloat);
  const at::Tensor scales = at::where(uses > 0, uses.rsqrt(), at::zeros({}));
  at::Tensor vector = at::empty({options.theta_d_length});
  vector.uniform_(-options.init_theta_d_bound, options.init_theta_d_bound, generator);

  std::vector<std::unique_ptr<LayerAdapter>> out(layers.targets.size());
  std::int64_t begin = 0;
  const auto next = [&](const std::vector<std::int64_t>& shape) {
    const std::int64_t count = shape[0] * shape[1];
    begin += count;
    return Selection{indices.narrow(0, begin - count, count).view(shape), {}};
  };
  for (const std::size_t i : registration_order(layers)) {
    const Op& op = layers.graph.node(layers.targets[i].node).op;
    const MatrixShapes shapes = matrix_shapes(op, config.r);
    Selection A = next(shapes.A), B = next(shapes.B);
    out[i] = std::make_unique<UniLora>(op, vector, scales, std::move(A), std::move(B), options);
  }
  return out;
}

bool is_index_tensor(std::string_view key) {
  return key.ends_with(".unilora_indices_A") || key.ends_with(".unilora_indices_B");
}

void check_index_tensor(const std::string& key, const at::Tensor& tensor, const AdapterConfig& config,
                        const std::string& where) {
  if (!at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) {
    fail(where, ": tensor '", key, "': got type ", c10::toString(tensor.scalar_type()), ", expected integers.");
  }
  const std::int64_t length = config.unilora.theta_d_length;
  if (tensor.numel() == 0) return;
  const at::Tensor values = tensor.to(at::kLong);
  const auto least = values.min().item<std::int64_t>(), greatest = values.max().item<std::int64_t>();
  if (least < 0 || greatest >= length) {
    fail(where, ": tensor '", key, "': got the index ", least < 0 ? least : greatest, ", expected 0 to ", length - 1,
         ", the positions of unilora_theta_d.");
  }
}

}  // namespace lorikeet
