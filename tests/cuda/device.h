// The device used by the tests of this directory.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include <cstdlib>

namespace lorikeet {

inline at::Device test_device() {
  const char* const name = std::getenv("LORIKEET_TEST_DEVICE");
  return at::Device(name == nullptr ? "cuda" : name);
}

/// Convolutions and matrix products in full float32 as long as this lives. By default cuDNN computes float32
/// convolutions in TF32, whose products have 10 bits of mantissa.
class WithoutTf32 {
 public:
  WithoutTf32() { set(false); }
  ~WithoutTf32() { set(true); }
  WithoutTf32(const WithoutTf32&) = delete;
  WithoutTf32& operator=(const WithoutTf32&) = delete;

 private:
  static void set(bool allowed) { at::globalContext().setAllowTF32CuDNN(allowed); }
};

}  // namespace lorikeet
