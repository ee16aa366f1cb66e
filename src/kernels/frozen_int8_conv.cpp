#include "kernels/frozen_int8_conv.h"

#include <ATen/Functions.h>

#include <utility>

#include "kernels/frozen_conv.h"
#include "ops/conv.h"

namespace lorikeet {

FrozenInt8Conv::FrozenInt8Conv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, const Quantization& x)
    : conv_(conv), weight_(std::move(weight)), scale_(std::move(scale)), x_(x), int8_(this->weight(), x) {}

// A temporary: only its packed form is kept.
at::Tensor FrozenInt8Conv::weight() const { return scaled_weight(weight_, scale_); }

// The arguments of Int8Conv.
struct FrozenInt8Conv::Prepared {
  at::Tensor padded;
  at::Tensor packed;
  ConvGeometry geometry;
};

FrozenInt8Conv::Prepared FrozenInt8Conv::prepared(const at::Tensor& x) const {
  const Padding pad = padding_of(conv_, x.size(2), x.size(3));
  const ConvGeometry geometry = geometry_after_padding(conv_, pad);
  const at::Tensor padded = pad_asymmetric(x, pad, static_cast<double>(x_.zero));
  std::vector<std::int64_t> shape = layout_shape(weight_.sizes(), at::kChar, geometry, padded.sizes());
  shape.push_back(x_.zero);
  const at::Tensor packed = packings_.get(
      {/*form=*/0, /*part=*/0, std::move(shape), [&] { return int8_.pack(weight(), geometry, padded.sizes()); }});
  return {padded, packed, geometry};
}

at::Tensor FrozenInt8Conv::operator()(const at::Tensor& x, const Int8Conv::Output& y) const {
  const Prepared run = prepared(x);
  return int8_(run.padded, run.packed, run.geometry, y);
}

at::Tensor FrozenInt8Conv::operator()(const at::Tensor& x, at::ScalarType type) const {
  const Prepared run = prepared(x);
  return int8_(run.padded, run.packed, run.geometry, type);
}

}  // namespace lorikeet
