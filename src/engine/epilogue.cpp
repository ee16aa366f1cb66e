#include "engine/epilogue.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cassert>

namespace lorikeet {
namespace {

constexpr std::int64_t kBits = 8;
constexpr std::int64_t kGrain = 1 << 15;  // elements a thread should have to be worth waking

// Bits where rows of channels are whole bytes, so that no two threads write to one byte; else a tensor of bool.
bool packs(const at::Tensor& y) {
  return y.is_cpu() && y.size(1) % kBits == 0 && (y.scalar_type() == at::kFloat || y.scalar_type() == at::kBFloat16);
}

// One row of channels. The compiler vectorises the sums; the bits are eight compares and shifts.
template <typename T, bool kResidual, bool kMask>
void finish_row(T* y, const float* bias, const T* residual, std::int64_t channels, Clamp clamp, std::uint8_t* bits) {
  for (std::int64_t c = 0; c < channels; c += kBits) {
    float values[kBits];
    for (std::int64_t i = 0; i < kBits; ++i) {
      values[i] = static_cast<float>(y[c + i]) + bias[c + i];
      if constexpr (kResidual) values[i] += static_cast<float>(residual[c + i]);
    }
    if constexpr (kMask) {
      unsigned byte = 0;
      for (std::int64_t i = 0; i < kBits; ++i) byte |= static_cast<unsigned>(values[i] > clamp.low && values[i] < clamp.high) << i;
      bits[c / kBits] = static_cast<std::uint8_t>(byte);
    }
    // Not std::clamp: a NaN must come through, so that a loss that is not finite is seen.
    for (std::int64_t i = 0; i < kBits; ++i) {
      const float above = values[i] < clamp.low ? clamp.low : values[i];
      y[c + i] = static_cast<T>(above > clamp.high ? clamp.high : above);
    }
  }
}

template <typename T>
void finish_rows(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, const Clamp& clamp, const at::Tensor& mask) {
  const std::int64_t channels = y.size(1);
  T* const values = y.data_ptr<T>();
  const float* const biases = bias.const_data_ptr<float>();
  const T* const others = residual.defined() ? residual.const_data_ptr<T>() : nullptr;
  std::uint8_t* const bits = mask.defined() ? mask.data_ptr<std::uint8_t>() : nullptr;
  const auto run = others != nullptr ? (bits != nullptr ? &finish_row<T, true, true> : &finish_row<T, true, false>)
                                     : (bits != nullptr ? &finish_row<T, false, true> : &finish_row<T, false, false>);
  at::parallel_for(0, y.numel() / channels, std::max<std::int64_t>(1, kGrain / channels), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      run(values + row * channels, biases, others != nullptr ? others + row * channels : nullptr, channels, clamp,
          bits != nullptr ? bits + row * channels / kBits : nullptr);
    }
  });
}

template <typename T>
void mask_rows(const at::Tensor& grad, const at::Tensor& mask, const at::Tensor& out) {
  const T* const from = grad.const_data_ptr<T>();
  T* const to = out.data_ptr<T>();
  const std::uint8_t* const bits = mask.const_data_ptr<std::uint8_t>();
  at::parallel_for(0, mask.numel(), kGrain / kBits, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t byte = begin; byte < end; ++byte) {
      for (std::int64_t i = 0; i < kBits; ++i) {
        const bool passes = ((bits[byte] >> i) & 1) != 0;
        to[byte * kBits + i] = passes ? from[byte * kBits + i] : T(0);
      }
    }
  });
}

at::Tensor finish_plainly_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, const Clamp& clamp, bool masked) {
  y.add_(bias.to(y.scalar_type()).view({1, -1, 1, 1}));
  if (residual.defined()) y.add_(residual);
  at::Tensor mask;
  if (masked) mask = at::logical_and(y > clamp.low, y < clamp.high);
  if (clamp.active()) y.clamp_(clamp.low, clamp.high);
  return mask;
}

}  // namespace

at::Tensor finish_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, const Clamp& clamp, bool masked) {
  masked = masked && clamp.active();
  if (!packs(y)) return finish_plainly_(y, bias, residual, clamp, masked);
  assert(y.is_contiguous(at::MemoryFormat::ChannelsLast) && (!residual.defined() || residual.sizes() == y.sizes()));
  const at::Tensor other = residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast) : residual;
  const at::Tensor mask = masked ? at::empty({y.numel() / kBits}, y.options().dtype(at::kByte).memory_format(at::MemoryFormat::Contiguous)) : at::Tensor();
  if (y.scalar_type() == at::kFloat) {
    finish_rows<float>(y, bias, other, clamp, mask);
  } else {
    finish_rows<at::BFloat16>(y, bias, other, clamp, mask);
  }
  return mask;
}

at::Tensor mask_gradient(const at::Tensor& grad, const at::Tensor& mask) {
  const at::Tensor from = grad.contiguous(at::MemoryFormat::ChannelsLast);
  if (!mask.defined()) return from;
  if (mask.scalar_type() == at::kBool) return from * mask;
  const at::Tensor out = at::empty_like(from);
  if (from.scalar_type() == at::kFloat) {
    mask_rows<float>(from, mask, out);
  } else {
    mask_rows<at::BFloat16>(from, mask, out);
  }
  return out;
}

}  // namespace lorikeet
