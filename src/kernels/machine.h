// What this machine offers for computing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lorikeet {

struct Machine {
  int hardware_threads = 1;
  /// Threads that ATen computes with.
  int threads = 1;
  /// The instruction set that ATen's own kernels were chosen for: "AVX2".
  std::string kernels;
  /// Whether oneDNN runs the convolutions.
  bool onednn = false;
  /// Whether it computes bfloat16 natively; emulated, it is several times slower than float32.
  bool bfloat16 = false;
  /// Whether oneDNN multiplies int8 natively (VNNI).
  bool int8 = false;
  /// Whether device "cuda" can be used.
  bool cuda = false;
};

Machine examine_machine();

/// Bytes that this process may still take on the current CUDA device: what is free there, and what ATen's allocator
/// keeps for reuse. Nothing where there is no such device.
std::optional<std::uint64_t> available_cuda_memory();

}  // namespace lorikeet
