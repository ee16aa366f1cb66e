// oneDNN's convolution with weights packed beforehand, by ATen's operators in the mkldnn namespace, which have no C++ header.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/epilogue.h"
#include "graph/graph.h"

namespace lorikeet {

struct ConvGeometry {
  Pair stride;
  Pair padding;
  Pair dilation;
  std::int64_t groups = 1;
};

/// Whether oneDNN is there, and runs weights of this type and on this device natively.
bool can_pack(const at::TensorOptions& weight);

/// A convolution, channels-last. REQUIRES: can_pack(its options).
class PackedConv {
 public:
  PackedConv() = default;
  /// Packs weight (out, in / groups, kh, kw) for inputs of this shape, (N, C, H, W). Another N is right, too, but oneDNN may want
  /// another layout for it and then packs anew at every call, ten times slower than the convolution.
  PackedConv(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input);

  explicit operator bool() const { return weight_.defined(); }
  /// The convolution alone. REQUIRES: packed.
  at::Tensor operator()(const at::Tensor& x) const;
  /// With what follows, in the same pass over the output where oneDNN can. REQUIRES: packed.
  at::Tensor operator()(const at::Tensor& x, const Epilogue& after) const;

 private:
  at::Tensor weight_;  // opaque
  ConvGeometry geometry_{};
};

}  // namespace lorikeet
