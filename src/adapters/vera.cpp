#include "adapters/vera.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "adapters/low_rank_adapter.h"
#include "adapters/weight_adapter.h"
#include "base/error.h"
#include "base/torch_random.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxSharedElements = 1 << 28;  // 1 GiB

// Shapes of the shared matrices.
struct SharedShapes {
  std::vector<std::int64_t> A;
  std::vector<std::int64_t> B;
};

SharedShapes shared_shapes(const AdaptedLayers& layers, const AdapterConfig& config) {
  std::int64_t rows = 0, columns = 0;
  for (const AdapterTarget& target : layers.targets) {
    const WeightShape shape = weight_shape(layers.graph.node(target.node).op);
    rows = std::max(rows, shape.out);
    columns = std::max(columns, shape.columns());
  }
  if (const std::int64_t most = std::max(rows, columns); most > 0 && config.r > kMaxSharedElements / most) {
    fail_usage("r: got ", config.r, ", expected at most ", kMaxSharedElements / most,
               ", with which VeRA's shared matrices for these modules have 1 GiB.");
  }
  return {{config.r, columns}, {rows, config.r}};
}

// PEFT's _kaiming_init.
at::Tensor projection(const std::vector<std::int64_t>& shape, TorchRandom& random) {
  at::Tensor out = at::empty(shape);
  const double bound = std::sqrt(3.0) * (std::sqrt(2.0) / std::sqrt(static_cast<double>(shape[1])));
  random.uniform({out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())}, -bound, bound);
  return out;
}

class Vera final : public LowRankAdapter {
 public:
  Vera(const Op& op, at::Tensor A, at::Tensor B, const VeraOptions& options)
      : LowRankAdapter(op, /*scaling=*/1, options.dropout), shape_(weight_shape(op)),
        is_saved_(options.save_projection), lambda_b_(at::zeros({shape_.out})),
        lambda_d_(at::full({A.size(0)}, options.d_initial)), A_(std::move(A)), B_(std::move(B)) {
    if (is_saved_) return;
    A_ = own_A();  // so that another device gets no more than these
    B_ = own_B();
  }

  std::vector<Part> parts() override {
    std::vector<Part> out{{"vera_lambda_b", &lambda_b_}, {"vera_lambda_d", &lambda_d_}};
    if (is_saved_) {
      out.push_back({"vera_A", &A_, /*learned=*/false});
      out.push_back({"vera_B", &B_, /*learned=*/false});
    }
    return out;
  }

  std::vector<at::Tensor*> fixed() override {
    return is_saved_ ? std::vector<at::Tensor*>{} : std::vector<at::Tensor*>{&A_, &B_};
  }

 private:
  // Both vectors are in B, so that A is fixed and needs no gradient.
  Factors factors() const override {
    return {own_A().to(lambda_d_.scalar_type()), lambda_b_.unsqueeze(1) * own_B() * lambda_d_};
  }
  at::Tensor own_A() const { return A_.narrow(1, 0, shape_.columns()); }
  at::Tensor own_B() const { return B_.narrow(0, 0, shape_.out); }

  WeightShape shape_;
  bool is_saved_;
  at::Tensor lambda_b_;
  at::Tensor lambda_d_;
  at::Tensor A_;
  at::Tensor B_;
};

}  // namespace

std::vector<Parameter> vera_tensors(const AdaptedLayers& layers, const AdapterConfig& config) {
  const SharedShapes shared = shared_shapes(layers, config);
  std::vector<Parameter> out;
  for (const AdapterTarget& target : layers.targets) {
    if (out.empty() && config.vera.save_projection) {
      out.push_back({"vera_A", target.node, shared.A, /*buffer=*/true});
      out.push_back({"vera_B", target.node, shared.B, /*buffer=*/true});
    }
    const std::string& module = module_name(layers.graph, target);
    out.push_back({module + ".vera_lambda_b", target.node, {weight_shape(layers.graph.node(target.node).op).out}});
    out.push_back({module + ".vera_lambda_d", target.node, {config.r}});
  }
  return out;
}

std::vector<std::unique_ptr<LayerAdapter>> start_vera(const AdaptedLayers& layers, const std::vector<NodeTensors>&,
                                                      const AdapterConfig& config, at::Generator&) {
  const SharedShapes shared = shared_shapes(layers, config);
  TorchRandom random(static_cast<std::uint64_t>(config.vera.projection_prng_key));
  const at::Tensor A = projection(shared.A, random);
  const at::Tensor B = projection(shared.B, random);
  std::vector<std::unique_ptr<LayerAdapter>> out;
  for (const AdapterTarget& target : layers.targets)
    out.push_back(std::make_unique<Vera>(layers.graph.node(target.node).op, A, B, config.vera));
  return out;
}

}  // namespace lorikeet
