// Common base of LoHa and LoKr: the adapter is a ΔW in the shape of the weight, and y = (W + ΔW)∗x + b.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adapters/weight_adapter.h"

namespace lorikeet {

class DeltaAdapter : public WeightAdapter {
 public:
  std::vector<Part> parts() override;
  int kept_weights() const override { return 2; }  // ΔW before it is scaled, and the sum

 protected:
  /// Initialises tensors randomly as PEFT does, except those in `zero`, so that ΔW is zero.
  DeltaAdapter(const std::vector<AdapterTensor>& tensors, const std::vector<std::string>& zero,
               at::Generator& generator);

  bool has(const std::string& suffix) const;
  /// REQUIRES: has(suffix).
  const at::Tensor& tensor(const std::string& suffix) const;
  /// Returns ΔW, scale included, with its elements in the weight's order.
  virtual at::Tensor delta_weight() const = 0;

 private:
  at::Tensor adapted(const at::Tensor& weight, bool training) const final;

  std::vector<std::pair<std::string, at::Tensor>> tensors_;
};

/// t (r, r, kh, kw), a (r, out), b (r, in) → Σ t[i,j]·a[i,p]·b[j,q], (out, in, kh, kw): CP decomposition with a core.
at::Tensor cp_weight(const at::Tensor& t, const at::Tensor& a, const at::Tensor& b);

}  // namespace lorikeet
