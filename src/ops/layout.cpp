#include "ops/layout.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {

std::string Permute::arguments() const { return cat("(dims=", at::IntArrayRef(dims), ")"); }

Shape Permute::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  Shape out;
  for (std::size_t i = 1; i < dims.size(); ++i) out.push_back(inputs[0][static_cast<std::size_t>(dims[i] - 1)]);
  return out;
}

at::Tensor Permute::forward(const NodeTensors&, at::TensorList x) const { return x[0].permute(dims); }

std::string Concat::arguments() const { return cat("(dim=", dim, ")"); }

Shape Concat::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  const auto axis = static_cast<std::size_t>(dim - 1);
  Shape out = inputs[0];
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    Shape same = inputs[i];
    same[axis] = inputs[0][axis];
    if (same != inputs[0])
      fail_usage("image size: got values of ", at::IntArrayRef(inputs[0]), " and ", at::IntArrayRef(inputs[i]), " at ",
                 where, ", expected shapes that differ along axis ", axis, " only. Use another image size.");
    out[axis] += inputs[i][axis];
  }
  return out;
}

at::Tensor Concat::forward(const NodeTensors&, at::TensorList x) const { return at::cat(x, dim); }

}  // namespace lorikeet
