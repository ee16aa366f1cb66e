// The compute capabilities of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lorikeet {

struct Machine {
  int hardware_threads = 1;
  /// Number of ATen's threads.
  int threads = 1;
  /// The instruction set of ATen's own kernels: "AVX2".
  std::string kernels;
  /// Whether oneDNN runs the convolutions.
  bool onednn = false;
  /// Whether bfloat16 is native. Emulated bfloat16 is several times slower than float32.
  bool bfloat16 = false;
  /// Whether int8 multiplication is native (VNNI).
  bool int8 = false;
  /// Whether device "cuda" is usable.
  bool cuda = false;
};

Machine examine_machine();

/// Bytes that this process may still take on the current CUDA device: what is free there, and what ATen's allocator
/// keeps for reuse. Nothing where there is no such device.
std::optional<std::uint64_t> available_cuda_memory();

}  // namespace lorikeet
