// What LoHa and LoKr share: the adapter is a ΔW in the shape of the weight, and y = (W + ΔW)∗x + b.
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
  /// Random tensors as PEFT starts them, but those of `zero`, without which ΔW vanishes.
  DeltaAdapter(const std::vector<AdapterTensor>& tensors, const std::vector<std::string>& zero,
               at::Generator& generator);

  bool has(const std::string& suffix) const;
  /// REQUIRES: has(suffix).
  const at::Tensor& tensor(const std::string& suffix) const;
  /// Whose elements, in order, are those of the weight; the scale is in it.
  virtual at::Tensor delta_weight() const = 0;

 private:
  at::Tensor adapted(const at::Tensor& weight, bool training) const final;

  std::vector<std::pair<std::string, at::Tensor>> tensors_;
};

/// t (r, r, kh, kw), a (r, out), b (r, in) → Σ t[i,j]·a[i,p]·b[j,q], (out, in, kh, kw): CP decomposition with a core.
at::Tensor cp_weight(const at::Tensor& t, const at::Tensor& a, const at::Tensor& b);

}  // namespace lorikeet
