// Inputs and weights for the tests of this directory, in float64, so that differences are errors rather than rounding.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <cstdint>

namespace lorikeet {

inline at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed = 1) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::empty(shape, at::kDouble).normal_(0, 1, generator);
}

inline bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-10, 1e-10);
}

}  // namespace lorikeet
