#include "kernels/pointwise_simd.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

// AVX-512 alone, and the baseline that Highway always compiles.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3_DL | HWY_NEON | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise_simd.cpp"
#include <hwy/foreach_target.h>  // includes this file once for each instruction set
#include <hwy/highway.h>

#include "kernels/simd_pixels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3

static_assert(kWidth == kPointwiseLanes);
constexpr std::int64_t kLanes = kPointwiseLanes;
constexpr std::int64_t kGroups = 2;  // of 16 outputs, whose sums stay in registers

// Packs the pixels of a tile as (in / 16, pixel, 16), those that the mask excludes as 0.
void pack(const PointwiseProduct& product, std::int64_t first, std::int64_t pixels, std::uint16_t* to) {
  for (std::int64_t i = 0; i < pixels; ++i) {
    const std::int64_t begin = (first + i) * product.in;
    const std::uint16_t* const from = product.x + begin;
    std::uint16_t* const line = to + i * kLanes;
    if (product.x_mask == nullptr) {
      for (std::int64_t c = 0; c < product.in; c += kLanes)
        std::memcpy(line + c * pixels, from + c, kLanes * sizeof *from);
    } else {
      const std::uint8_t* const bits = product.x_mask + begin / 8;
      for (std::int64_t c = 0; c < product.in; c += kLanes) store(masked(load(from + c), bits, c), line + c * pixels);
    }
  }
}

// The operands of one register tile.
struct Operands {
  const std::uint16_t* pixels;  // packed
  std::int64_t channel_groups;
  const std::uint16_t* weights;
  std::int64_t weight_step;  // from 16 outputs to the next
  std::int64_t channel;      // the first output
  std::int64_t at;           // its offset in y
};

template <bool kResidual, bool kMask, std::int64_t kPixels, std::int64_t kOutGroups>
HWY_INLINE void finish(const PointwiseProduct& product, const Operands& x, const Vector (&sums)[kPixels][kOutGroups]) {
  const Vector low = hn::Set(kFloats, product.finish.low);
  const Vector high = hn::Set(kFloats, product.finish.high);
#pragma GCC unroll 2
  for (std::int64_t j = 0; j < kOutGroups; ++j) {
    const Vector bias = product.finish.bias != nullptr
                            ? hn::LoadU(kFloats, product.finish.bias + x.channel + j * kLanes)
                            : hn::Zero(kFloats);
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kPixels; ++i) {
      const std::int64_t at = x.at + i * product.out + j * kLanes;
      Vector z = hn::Add(sums[i][j], bias);
      if constexpr (kResidual) z = hn::Add(z, load(product.finish.residual + at));
      if constexpr (kMask) store_mask(z, low, high, product.finish.mask, at);
      store(clamped(z, low, high), product.y + at);
    }
  }
}

// Highway 1.0 of Debian 12 has no products of bfloat16.
template <std::int64_t kPixels, std::int64_t kOutGroups, bool kResidual, bool kMask>
__attribute__((target("avx512bf16"))) void multiply_tile(const PointwiseProduct& product, const Operands& x) {
  __m512 sums[kPixels][kOutGroups];
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < kPixels; ++i)
#pragma GCC unroll 2
    for (std::int64_t j = 0; j < kOutGroups; ++j) sums[i][j] = _mm512_setzero_ps();
  const std::uint16_t* HWY_RESTRICT weights = x.weights;
  const std::uint16_t* HWY_RESTRICT pixels = x.pixels;
  for (std::int64_t group = 0; group < x.channel_groups; ++group) {
#pragma GCC unroll 2
    for (std::int64_t channel = 0; channel < kLanes; channel += 2) {
      __m512bh right[kOutGroups];
#pragma GCC unroll 2
      for (std::int64_t j = 0; j < kOutGroups; ++j)
        right[j] = reinterpret_cast<__m512bh>(_mm512_load_si512(weights + j * x.weight_step));
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < kPixels; ++i) {
        std::int32_t pair;
        std::memcpy(&pair, pixels + i * kLanes + channel, sizeof pair);
        const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
        for (std::int64_t j = 0; j < kOutGroups; ++j) sums[i][j] = _mm512_dpbf16_ps(sums[i][j], left, right[j]);
      }
      weights += 2 * kLanes;
    }
    pixels += kPixels * kLanes;
  }
  Vector vectors[kPixels][kOutGroups];
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < kPixels; ++i)
#pragma GCC unroll 2
    for (std::int64_t j = 0; j < kOutGroups; ++j) vectors[i][j] = Vector{sums[i][j]};
  finish<kResidual, kMask>(product, x, vectors);
}

// multiply_tile for each number of pixels.
using MultiplyTile = void (*)(const PointwiseProduct&, const Operands&);
template <std::int64_t kOutGroups, bool kResidual, bool kMask, std::int64_t... kPixels>
constexpr std::array<MultiplyTile, kPointwiseTile> by_pixels(std::integer_sequence<std::int64_t, kPixels...>) {
  return {&multiply_tile<kPixels + 1, kOutGroups, kResidual, kMask>...};
}
template <std::int64_t kOutGroups, bool kResidual, bool kMask>
constexpr auto kMultiply =
    by_pixels<kOutGroups, kResidual, kMask>(std::make_integer_sequence<std::int64_t, kPointwiseTile>());

// The weights of a few outputs stay in the first-level cache while all tiles are multiplied by them.
template <bool kResidual, bool kMask>
void multiply_part(const PointwiseProduct& product, const PointwisePart& part, std::uint16_t* packed) {
  const auto tile_at = [&](std::int64_t i) { return std::min(kPointwiseTile, part.pixels - i); };
  for (std::int64_t i = 0; i < part.pixels; i += kPointwiseTile)
    pack(product, part.first_pixel + i, tile_at(i), packed + i * product.in);
  const std::int64_t weight_step = product.in * kLanes;
  for (std::int64_t group = part.first_group; group < part.end_group; group += kGroups) {
    const auto& multiply =
        part.end_group - group < kGroups ? kMultiply<1, kResidual, kMask> : kMultiply<kGroups, kResidual, kMask>;
    for (std::int64_t i = 0; i < part.pixels; i += kPointwiseTile) {
      const std::int64_t channel = group * kLanes;
      multiply[static_cast<std::size_t>(tile_at(i) - 1)](
          product, {packed + i * product.in, product.in / kLanes, product.weights + group * weight_step, weight_step,
                    channel, (part.first_pixel + i) * product.out + channel});
    }
  }
}

void multiply(const PointwiseProduct& product, const PointwisePart& part, std::uint16_t* packed) {
  const bool masks = product.finish.mask != nullptr;
  const auto run = product.finish.residual != nullptr
                       ? (masks ? &multiply_part<true, true> : &multiply_part<true, false>)
                       : (masks ? &multiply_part<false, true> : &multiply_part<false, false>);
  run(product, part, packed);
}

#else

void multiply(const PointwiseProduct&, const PointwisePart&, std::uint16_t*) {}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lorikeet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {

HWY_EXPORT(multiply);

}  // namespace

bool has_pointwise() {
#if HWY_ARCH_X86 && defined(__GNUC__)
  static const bool kHas = (hwy::SupportedTargets() & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512bf16") != 0 &&
                           __builtin_cpu_supports("amx-bf16") == 0;
  return kHas;
#else
  return false;
#endif
}

void multiply_pointwise(const PointwiseProduct& product, const PointwisePart& part, std::uint16_t* packed) {
  HWY_DYNAMIC_DISPATCH(multiply)(product, part, packed);
}

}  // namespace lorikeet
#endif  // HWY_ONCE
