#include "kernels/smooth_activation.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>

#include "base/vector_clones.h"
#include "kernels/parallel.h"

#define LORIKEET_INLINE inline __attribute__((always_inline))

namespace lorikeet {
namespace {

constexpr std::int64_t kBlock = 512;                  // elements at a time, in the first-level cache
constexpr std::int64_t kElementsPerThread = 1 << 15;  // that make it worth waking a thread

// All of these satisfy f'(z) + f'(−z) = 1. A derivative d is kept as (d − 1/2) · kSteps / 2^bits, rounded: 0 and 1 are
// exact, and the most there is, 1.5 of HardSwish or 1.13 of the others, fits.
constexpr std::int32_t kSmoothSteps = 52000;
constexpr std::int32_t kHardSteps = 32766;
constexpr int kMoreBits = 8;  // of float32

// e^x, within 2 units in the last place (Cephes); written so that compilers vectorise it.
LORIKEET_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  constexpr float kRounder = 12582912.0F;  // leaves the nearest integer in the lowest bits
  const float shifted = x * 1.44269504F + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3F800000U);
}

struct Point {
  float value;
  float derivative;
};

// The normal distribution's integral by Abramowitz and Stegun, 7.1.26: within 1e-7.
struct GeluCurve {
  static constexpr std::int32_t kSteps = kSmoothSteps;
  static LORIKEET_INLINE Point at(float z) {
    const float a = (z < 0 ? -z : z) * 0.70710678F;
    const float t = 1.0F / (1.0F + 0.3275911F * a);
    const float e = exponential(-a * a);
    const float series =
        ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t + 0.254829592F) * t;
    const float tail = 0.5F * series * e;
    const float below = z < 0 ? tail : 1.0F - tail;
    return {z * below, below + z * e * 0.39894228F};
  }
};

struct GeluTanhCurve {
  static constexpr std::int32_t kSteps = kSmoothSteps;
  static LORIKEET_INLINE Point at(float z) {
    constexpr float kTwoRoot = 1.59576912F;  // 2·√(2/π)
    const float s = 1.0F / (1.0F + exponential(-kTwoRoot * (z + 0.044715F * z * z * z)));
    return {z * s, s + z * s * (1.0F - s) * kTwoRoot * (1.0F + 0.134145F * z * z)};
  }
};

struct SiluCurve {
  static constexpr std::int32_t kSteps = kSmoothSteps;
  static LORIKEET_INLINE Point at(float z) {
    const float s = 1.0F / (1.0F + exponential(-z));
    return {z * s, s * (1.0F + z * (1.0F - s))};
  }
};

struct HardSwishCurve {
  static constexpr std::int32_t kSteps = kHardSteps;
  static LORIKEET_INLINE Point at(float z) {
    float r = z * (1.0F / 6) + 0.5F;
    r = r < 0 ? 0.0F : r;
    r = r > 1 ? 1.0F : r;
    const float inside = z * (1.0F / 3) + 0.5F;
    const float above = z > 3 ? 1.0F : inside;
    return {z * r, z < -3 ? 0.0F : above};
  }
};

// Where a block's derivatives are kept: the upper 16 bits, and of float32 the lower 8.
struct Kept {
  std::int16_t* upper = nullptr;
  std::uint8_t* lower = nullptr;
};

template <typename Curve>
LORIKEET_INLINE void run(float* z, Kept kept, std::int64_t count) {
  const auto steps = [](float derivative, std::int32_t all) {
    const float x = (derivative - 0.5F) * static_cast<float>(all);
    return static_cast<std::int32_t>(x < 0 ? x - 0.5F : x + 0.5F);
  };
  if (kept.upper == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) z[i] = Curve::at(z[i]).value;
  } else if (kept.lower == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) {
      const Point point = Curve::at(z[i]);
      z[i] = point.value;
      kept.upper[i] = static_cast<std::int16_t>(steps(point.derivative, Curve::kSteps));
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      const Point point = Curve::at(z[i]);
      z[i] = point.value;
      const std::int32_t n = steps(point.derivative, Curve::kSteps << kMoreBits);
      kept.upper[i] = static_cast<std::int16_t>(n >> kMoreBits);
      kept.lower[i] = static_cast<std::uint8_t>(n);
    }
  }
}

LORIKEET_VECTOR_CLONES void run_block(SmoothActivation f, float* z, Kept kept, std::int64_t count) {
  switch (f) {
    case SmoothActivation::kNone: break;
    case SmoothActivation::kGelu: run<GeluCurve>(z, kept, count); break;
    case SmoothActivation::kGeluTanh: run<GeluTanhCurve>(z, kept, count); break;
    case SmoothActivation::kSilu: run<SiluCurve>(z, kept, count); break;
    case SmoothActivation::kHardSwish: run<HardSwishCurve>(z, kept, count); break;
  }
}

std::int32_t steps_of(SmoothActivation f) { return f == SmoothActivation::kHardSwish ? kHardSteps : kSmoothSteps; }

LORIKEET_VECTOR_CLONES void add_float(float* z, const float* y, const float* bias, const float* residual,
                                      std::int64_t count) {
  if (residual == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) z[i] = y[i] + bias[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) z[i] = y[i] + bias[i] + residual[i];
  }
}

LORIKEET_VECTOR_CLONES void scale_float(float* to, const float* from, const std::int16_t* upper,
                                        const std::uint8_t* lower, std::int32_t steps, std::int64_t count) {
  const std::int32_t half = steps / 2;
  const float step = 1.0F / static_cast<float>(steps);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t n = static_cast<std::int32_t>(upper[i]) * (1 << kMoreBits) + lower[i];
    to[i] = from[i] * (static_cast<float>(n + half) * step);
  }
}

// bfloat16 by its bits.
LORIKEET_INLINE float widened(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
LORIKEET_INLINE std::uint16_t narrowed(float value) {  // to the nearest, ties to even; a NaN stays one
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return static_cast<std::uint16_t>(value != value ? 0x7FC0U : rounded);
}

LORIKEET_VECTOR_CLONES void add_bfloat16(float* z, const std::uint16_t* y, const float* bias,
                                         const std::uint16_t* residual, std::int64_t count) {
  if (residual == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) z[i] = widened(y[i]) + bias[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) z[i] = widened(y[i]) + bias[i] + widened(residual[i]);
  }
}

LORIKEET_VECTOR_CLONES void narrow(std::uint16_t* to, const float* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = narrowed(from[i]);
}

LORIKEET_VECTOR_CLONES void scale_bfloat16(std::uint16_t* to, const std::uint16_t* from, const std::int16_t* derivative,
                                           std::int32_t steps, std::int64_t count) {
  const std::int32_t half = steps / 2;
  const float step = 1.0F / static_cast<float>(steps);
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = narrowed(widened(from[i]) * (static_cast<float>(derivative[i] + half) * step));
}

const std::uint16_t* bits_of(const at::Tensor& tensor) {
  return reinterpret_cast<const std::uint16_t*>(tensor.const_data_ptr());
}
std::uint16_t* mutable_bits_of(const at::Tensor& tensor) {
  return reinterpret_cast<std::uint16_t*>(tensor.mutable_data_ptr());
}

bool is_fast(const at::Tensor& y) {
  return y.is_cpu() && (y.scalar_type() == at::kFloat || y.scalar_type() == at::kBFloat16);
}

// What is kept of `count` elements is one tensor: their upper parts, then their lower ones.
Kept parts_of(const at::Tensor& kept, std::int64_t count, bool has_lower) {
  auto* const bytes = static_cast<std::uint8_t*>(kept.mutable_data_ptr());
  return {reinterpret_cast<std::int16_t*>(bytes), has_lower ? bytes + 2 * count : nullptr};
}

// Of any type and on any device: by ATen, keeping z.
at::Tensor plain_value(const at::Tensor& z, SmoothActivation f) {
  switch (f) {
    case SmoothActivation::kNone: break;
    case SmoothActivation::kGelu: return at::gelu(z, "none");
    case SmoothActivation::kGeluTanh: return at::gelu(z, "tanh");
    case SmoothActivation::kSilu: return at::silu(z);
    case SmoothActivation::kHardSwish: return at::hardswish(z);
  }
  return z;
}

at::Tensor plain_gradient(const at::Tensor& grad, const at::Tensor& z, SmoothActivation f) {
  switch (f) {
    case SmoothActivation::kNone: break;
    case SmoothActivation::kGelu: return at::gelu_backward(grad, z, "none");
    case SmoothActivation::kGeluTanh: return at::gelu_backward(grad, z, "tanh");
    case SmoothActivation::kSilu: return at::silu_backward(grad, z);
    case SmoothActivation::kHardSwish: return at::hardswish_backward(grad, z);
  }
  return grad;
}

at::Tensor apply_plain_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, SmoothActivation f,
                        bool keeps) {
  const at::Tensor typed = bias.to(y.scalar_type());
  y.add_(y.dim() == 4 ? typed.view({1, -1, 1, 1}) : typed);
  if (residual.defined()) y.add_(residual);
  const at::Tensor z = keeps ? y.clone() : at::Tensor();
  y.copy_(plain_value(y, f));
  return z;
}

}  // namespace

at::Tensor apply_smooth_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, SmoothActivation f,
                         bool keeps) {
  assert(f != SmoothActivation::kNone);
  if (!is_fast(y)) return apply_plain_(y, bias, residual, f, keeps);
  const std::int64_t channels = bias.size(0);
  const bool is_float = y.scalar_type() == at::kFloat;
  const auto bytes = static_cast<std::int64_t>(smooth_kept_bytes(y.element_size())) * y.numel();
  const at::Tensor kept = keeps ? at::empty({bytes}, at::TensorOptions(at::kByte)) : at::Tensor();
  const Kept all = keeps ? parts_of(kept, y.numel(), is_float) : Kept{};
  const float* const biases = bias.const_data_ptr<float>();
  const std::int64_t blocks = (channels + kBlock - 1) / kBlock;
  const std::int64_t grain = std::max<std::int64_t>(1, kElementsPerThread / std::min(channels, kBlock));
  parallel_for(y.numel() / channels * blocks, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) float z[kBlock];
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t channel = i % blocks * kBlock;
      const std::int64_t first = i / blocks * channels + channel;
      const std::int64_t count = std::min(kBlock, channels - channel);
      const Kept own{keeps ? all.upper + first : nullptr, all.lower != nullptr ? all.lower + first : nullptr};
      if (is_float) {
        float* const values = y.mutable_data_ptr<float>() + first;
        add_float(values, values, biases + channel,
                  residual.defined() ? residual.const_data_ptr<float>() + first : nullptr, count);
        run_block(f, values, own, count);
      } else {
        add_bfloat16(z, bits_of(y) + first, biases + channel, residual.defined() ? bits_of(residual) + first : nullptr,
                     count);
        run_block(f, z, own, count);
        narrow(mutable_bits_of(y) + first, z, count);
      }
    }
  });
  return kept;
}

at::Tensor smooth_gradient(const at::Tensor& grad, const at::Tensor& kept, SmoothActivation f, bool overwrites) {
  if (kept.scalar_type() != at::kByte) return plain_gradient(grad, kept, f);
  const at::Tensor out = overwrites ? grad : at::empty_like(grad);
  const bool is_float = grad.scalar_type() == at::kFloat;
  const Kept all = parts_of(kept, grad.numel(), is_float);
  parallel_for(grad.numel(), kElementsPerThread, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t count = end - begin;
    if (is_float) {
      scale_float(out.mutable_data_ptr<float>() + begin, grad.const_data_ptr<float>() + begin, all.upper + begin,
                  all.lower + begin, steps_of(f) << kMoreBits, count);
    } else {
      scale_bfloat16(mutable_bits_of(out) + begin, bits_of(grad) + begin, all.upper + begin, steps_of(f), count);
    }
  });
  return out;
}

}  // namespace lorikeet
