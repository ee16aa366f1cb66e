// PyTorch's CPU generator for float32 (torch 2.13): the numbers of torch.Generator().manual_seed(seed), by portable
// code, so that matrices that PEFT regenerates from a seed are the same on every machine. PyTorch's own numbers are
// those of its AVX2 build on x86; on other processors, its uniform_ and normal_ can differ in the last bits.
// Source: ATen/core/DistributionsHelper.h, ATen/native/cpu/DistributionTemplates.h, ATen/native/TensorFactories.cpp;
// float32 logarithm, sine and cosine of Cephes (ATen/native/cpu/avx_mathfun.h).
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace lorikeet {

class TorchRandom {
 public:
  /// For more numbers, PyTorch has another algorithm.
  static constexpr std::int64_t kMaxPermutation = 0xffffffff / 20;

  /// As manual_seed: the generator uses the lower 32 bits. A negative seed of PyTorch is its two's complement.
  explicit TorchRandom(std::uint64_t seed) : engine_(static_cast<std::uint32_t>(seed)) {}

  /// torch.empty(out.size()).uniform_(from, to, generator=…), in the tensor's memory order.
  void uniform(std::span<float> out, double from, double to);

  /// torch.empty(out.size()).normal_(mean, std, generator=…), or torch.normal(mean, std, size, generator=…), in the
  /// tensor's memory order. A contiguous tensor of 16 or more elements is filled 16 at a time; the last 16 are drawn
  /// again if their number is not a multiple of 16.
  void normal(std::span<float> out, double mean, double std);

  /// torch.randperm(n, generator=…)[:count], in time and memory that grow with `count` rather than `n`.
  /// REQUIRES: 0 ≤ count ≤ n < kMaxPermutation.
  std::vector<std::int64_t> permutation(std::int64_t n, std::int64_t count);

 private:
  double uniform64();

  std::mt19937 engine_;
  /// The second of a pair of normal numbers, used next; only for tensors of fewer than 16 elements.
  std::optional<double> next_normal_;
};

}  // namespace lorikeet
