#include "adapters/oft.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "adapters/weight_adapter.h"
#include "base/error.h"

namespace lorikeet {
namespace {

// Of one group.
struct Blocks {
  std::int64_t count = 0;
  std::int64_t size = 0;
};

Blocks blocks_of(const Node& node, const AdapterConfig& config) {
  const WeightShape shape = weight_shape(node.op);
  const std::int64_t columns = shape.columns(), wanted = config.oft.block_size;
  const std::int64_t size =
      wanted > 0 ? nearest_divisor(columns, wanted)
                 : columns / nearest_divisor(columns, std::max<std::int64_t>(config.r / shape.groups, 1));
  if (size == 1) {
    fail_usage(wanted > 0 ? "oft_block_size" : "r", ": got ", wanted > 0 ? wanted : config.r, " for ", node.name,
               ", which makes blocks of one number, expected a divisor of ", columns,
               ", the numbers of one of its filters. A single number cannot be rotated.");
  }
  return {columns / size, size};
}

class Oft final : public WeightAdapter {
 public:
  Oft(at::Tensor triangles, const Node& node, const AdapterConfig& config)
      : triangles_(std::move(triangles)), groups_(weight_shape(node.op).groups), blocks_(blocks_of(node, config)),
        options_(config.oft) {
    const at::Tensor indices = at::triu_indices(blocks_.size, blocks_.size, 1);
    upper_ = indices[0] * blocks_.size + indices[1];
  }

  std::vector<Part> parts() override { return {{"oft_R.weight", &triangles_}}; }
  int kept_weights() const override { return 2; }  // before and after the rotation
  std::vector<at::Tensor*> fixed() override { return {&upper_}; }

 private:
  // (n, b·(b − 1) / 2) → (n, b, b)
  at::Tensor skew_symmetric(const at::Tensor& triangles) const {
    const at::Tensor upper =
        at::zeros({triangles.size(0), blocks_.size * blocks_.size}, triangles.options().requires_grad(false))
            .index_copy(1, upper_, triangles)
            .view({-1, blocks_.size, blocks_.size});
    return upper - upper.transpose(1, 2);
  }

  // COFT: a block whose Q is longer than ε / √n is brought back to that length.
  at::Tensor within_eps(const at::Tensor& triangles) const {
    const at::NoGradGuard no_grad;
    const at::Tensor norm = at::linalg_vector_norm(skew_symmetric(triangles), 2, at::IntArrayRef{1, 2}).unsqueeze(1);
    const double eps = options_.eps / std::sqrt(static_cast<double>(triangles.size(0)));
    return at::where(norm <= eps, triangles, triangles * (eps / norm));
  }

  at::Tensor rotations(const at::Tensor& triangles) const {
    const at::Tensor Q = skew_symmetric(triangles);
    const at::Tensor I = at::eye(blocks_.size, Q.options().requires_grad(false));
    if (!options_.use_cayley_neumann) return at::linalg_solve(I + Q, I - Q, /*left=*/false);
    // PEFT's series of three terms is that of four.
    const std::int64_t terms = options_.num_cayley_neumann_terms;
    at::Tensor R = I.expand_as(Q);
    if (terms > 1) R = R + 2 * Q;
    if (terms > 2) {
      at::Tensor power = at::bmm(Q, Q);
      R = R + 2 * power;
      for (std::int64_t term = 3; term < terms - 1; ++term) {
        power = at::bmm(power, Q);
        R = R + 2 * power;
      }
      R = R + at::bmm(power, Q);
    }
    return R;
  }

  at::Tensor adapted(const at::Tensor& weight, bool training) const override {
    at::Tensor triangles = triangles_;
    if (options_.coft) {
      const at::Tensor projected = within_eps(triangles_);
      if (training) {
        // As in PEFT, the optimiser goes on from the projected value.
        const at::NoGradGuard no_grad;
        triangles.copy_(projected);
      } else {
        triangles = projected;
      }
    }
    const at::Tensor R = rotations(triangles);  // (n, b, b), or (1, b, b) shared
    const at::Tensor W = weight.to(R.scalar_type()).reshape({groups_, -1, blocks_.count, blocks_.size});
    const at::Tensor rotated =
        options_.block_share
            ? at::einsum("gonk,bk->gonb", {W, R[0]})
            : at::einsum("gonk,gnbk->gonb", {W, R.view({groups_, blocks_.count, blocks_.size, blocks_.size})});
    return rotated.reshape(weight.sizes());
  }

  at::Tensor triangles_;
  at::Tensor upper_;  // places of the upper triangle in a flat block
  std::int64_t groups_;
  Blocks blocks_;
  OftOptions options_;
};

}  // namespace

std::int64_t nearest_divisor(std::int64_t columns, std::int64_t wanted) {
  if (wanted >= columns) return columns;
  std::int64_t higher = wanted, lower = wanted;
  while (columns % higher != 0) ++higher;
  while (columns % lower != 0) --lower;
  return wanted - lower <= higher - wanted ? lower : higher;
}

bool is_same_in_peft_oft(const Op& op) {
  const auto* conv = std::get_if<Conv2d>(&op);
  return conv == nullptr || conv->kernel == Pair{1, 1};
}

std::vector<AdapterTensor> oft_tensors(const Node& node, const AdapterTarget&, const AdapterConfig& config) {
  const Blocks blocks = blocks_of(node, config);
  return {{"oft_R.weight",
           {config.oft.block_share ? 1 : weight_shape(node.op).groups * blocks.count,
            blocks.size * (blocks.size - 1) / 2}}};
}

std::unique_ptr<LayerAdapter> make_oft(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                       const AdapterConfig& config, at::Generator&) {
  return std::make_unique<Oft>(at::zeros(oft_tensors(node, target, config)[0].shape), node, config);
}

}  // namespace lorikeet
