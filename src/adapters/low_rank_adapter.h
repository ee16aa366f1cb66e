// What methods share whose ΔW is a low-rank product of a weight's matrix (out, in / groups · kh · kw), with matrices
// that are functions of the learned tensors: y += scaling · B(A(dropout x)). A method returns the two; the output, the
// merged weight and the fused engine's step follow.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "adapters/layer_adapter.h"

namespace lorikeet {

class LowRankAdapter : public LayerAdapter {
 public:
  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const final;
  NodeTensors merged(const Node& node, const NodeTensors& base) const final;
  std::optional<LowRank> low_rank() const final;
  int kept_weights() const final { return has_groups_ ? 2 : 0; }  // B·A before and after it is scaled
  void seed_dropout(std::uint64_t seed) final;
  void moved(at::Device device) final;
  /// The two matrices (factor_shapes), of grouped convolutions too. Differentiable.
  LowRank product() const;

 protected:
  struct Factors {
    /// (r, in / groups · kh · kw) in any shape with the elements in this order.
    at::Tensor A;
    /// (out, r), or with further dimensions of 1.
    at::Tensor B;
  };

  LowRankAdapter(const Op& op, double scaling, double dropout);

  /// Differentiable with respect to the learned tensors, in their element type. A tensor that does not depend on them
  /// does not require a gradient.
  virtual Factors factors() const = 0;

 private:
  Op op_;
  bool has_groups_;
  double scaling_;
  double dropout_;
  at::Generator generator_;
  at::Device device_{at::kCPU};
};

/// Shapes of the matrices of a layer as convolutions, or of a Linear: A (r, in / groups, kh, kw) and B (out, r, 1, 1),
/// or (r, in) and (out, r).
struct FactorShapes {
  std::vector<std::int64_t> A;
  std::vector<std::int64_t> B;
};
FactorShapes factor_shapes(const Op& op, std::int64_t rank);

}  // namespace lorikeet
