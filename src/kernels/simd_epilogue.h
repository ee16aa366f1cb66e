// What the project's own kernels do to the sums that they write: JoinedEpilogue (kernels/epilogue.h) without tensors.
#pragma once

#include <cstdint>
#include <limits>

namespace lorikeet {

/// All of it is optional. Element: float, bfloat16's bits, or void for either.
template <typename Element>
struct SimdEpilogue {
  const float* bias = nullptr;
  const Element* residual = nullptr;  // like the output; may be the output itself
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  std::uint8_t* mask = nullptr;  // one bit per element

  bool has_none() const { return bias == nullptr && residual == nullptr; }
};

}  // namespace lorikeet
