#include "kernels/epilogue.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cassert>

#include "kernels/parallel.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kBits = 8;
constexpr std::int32_t kBitOf[kBits]{1, 2, 4, 8, 16, 32, 64, 128};
constexpr std::int64_t kGrain = 1 << 15;  // minimum number of elements per thread

// Whether finish_rows() can process it.
bool packs(const at::Tensor& y) {
  return y.is_cpu() && has_packed_mask(y.size(1)) &&
         (y.scalar_type() == at::kFloat || y.scalar_type() == at::kBFloat16);
}

// Processes one row of channels. Written so that compilers vectorise it.
template <typename T, bool kResidual, bool kMask>
void finish_row(T* y, const float* bias, const T* residual, std::int64_t channels, Clamp clamp, std::uint8_t* bits) {
  for (std::int64_t c = 0; c < channels; c += kBits) {
    float values[kBits];
    for (std::int64_t i = 0; i < kBits; ++i) {
      values[i] = static_cast<float>(y[c + i]) + bias[c + i];
      if constexpr (kResidual) values[i] += static_cast<float>(residual[c + i]);
    }
    if constexpr (kMask) {
      std::int32_t ones[kBits];
      for (std::int64_t i = 0; i < kBits; ++i)
        ones[i] = ((values[i] > clamp.low) & (values[i] < clamp.high)) ? kBitOf[i] : 0;
      std::int32_t byte = 0;
      for (const std::int32_t one : ones) byte |= one;
      bits[c / kBits] = static_cast<std::uint8_t>(byte);
    }
    // Not std::clamp: NaN must propagate, so that a non-finite loss is detected.
    for (std::int64_t i = 0; i < kBits; ++i) {
      const float above = values[i] < clamp.low ? clamp.low : values[i];
      y[c + i] = static_cast<T>(above > clamp.high ? clamp.high : above);
    }
  }
}

template <typename T>
void finish_rows(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, const Clamp& clamp,
                 const at::Tensor& mask) {
  const std::int64_t channels = y.size(1);
  T* const values = y.data_ptr<T>();
  const float* const biases = bias.const_data_ptr<float>();
  const T* const others = residual.defined() ? residual.const_data_ptr<T>() : nullptr;
  std::uint8_t* const bits = mask.defined() ? mask.data_ptr<std::uint8_t>() : nullptr;
  const auto run = others != nullptr ? (bits != nullptr ? &finish_row<T, true, true> : &finish_row<T, true, false>)
                                     : (bits != nullptr ? &finish_row<T, false, true> : &finish_row<T, false, false>);
  parallel_for(y.numel() / channels, std::max<std::int64_t>(1, kGrain / channels),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   run(values + row * channels, biases, others != nullptr ? others + row * channels : nullptr, channels,
                       clamp, bits != nullptr ? bits + row * channels / kBits : nullptr);
                 }
               });
}

// For each value of a mask byte, eight elements of all ones or zeros, to AND with eight gradient elements.
template <typename Integer>
const Integer (&mask_table())[256][kBits] {
  static const auto* const kTable = [] {
    static Integer table[256][kBits];
    for (int byte = 0; byte < 256; ++byte) {
      for (std::int64_t i = 0; i < kBits; ++i) table[byte][i] = static_cast<Integer>((byte & kBitOf[i]) != 0 ? -1 : 0);
    }
    return &table;
  }();
  return *kTable;
}

// `from` and `to` are the bit patterns of the elements.
template <typename Integer>
void mask_rows(const at::Tensor& from_bits, const at::Tensor& mask, const at::Tensor& to_bits) {
  const Integer* const from = from_bits.const_data_ptr<Integer>();
  Integer* const to = to_bits.data_ptr<Integer>();
  const std::uint8_t* const bits = mask.const_data_ptr<std::uint8_t>();
  const auto& table = mask_table<Integer>();
  parallel_for(mask.numel(), kGrain / kBits, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t byte = begin; byte < end; ++byte) {
      const Integer* const row = table[bits[byte]];
      for (std::int64_t i = 0; i < kBits; ++i)
        to[byte * kBits + i] = static_cast<Integer>(from[byte * kBits + i] & row[i]);
    }
  });
}

at::Tensor apply_clamp_plain_(const at::Tensor& y, const Epilogue& after, bool masked) {
  const Clamp& clamp = after.activation.clamp;
  y.add_(after.bias.to(y.scalar_type()).view({1, -1, 1, 1}));
  if (after.residual.defined()) y.add_(after.residual);
  at::Tensor mask;
  if (masked) mask = at::logical_and(y > clamp.low, y < clamp.high);
  if (clamp.active()) y.clamp_(clamp.low, clamp.high);
  return mask;
}

}  // namespace

at::Tensor apply_epilogue_(const at::Tensor& y, const Epilogue& after, bool keeps) {
  const at::Tensor& residual = after.residual;
  assert(y.is_contiguous(at::MemoryFormat::ChannelsLast) && (!residual.defined() || residual.sizes() == y.sizes()));
  const at::Tensor other = residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast) : residual;
  const auto& [clamp, smooth] = after.activation;
  if (smooth != SmoothActivation::kNone) return apply_smooth_(y, after.bias, other, smooth, keeps);
  const bool masked = keeps && clamp.active();
  if (!packs(y)) return apply_clamp_plain_(y, after, masked);
  const at::Tensor mask = masked ? packed_mask(y) : at::Tensor();
  if (y.scalar_type() == at::kFloat) {
    finish_rows<float>(y, after.bias, other, clamp, mask);
  } else {
    finish_rows<at::BFloat16>(y, after.bias, other, clamp, mask);
  }
  return mask;
}

// Only if rows of channels are whole bytes, so that no two threads write to the same byte.
bool has_packed_mask(std::int64_t channels) { return channels % kBits == 0; }

at::Tensor packed_mask(const at::Tensor& y) {
  return at::empty({y.numel() / kBits}, y.options().dtype(at::kByte).memory_format(at::MemoryFormat::Contiguous));
}

JoinedEpilogue joined_epilogue(const at::Tensor& y, const Epilogue* after, at::Tensor* kept) {
  if (after == nullptr || after->activation.smooth != SmoothActivation::kNone) return {};
  JoinedEpilogue out{after->bias, after->residual, after->activation.clamp, {}};
  if (out.residual.defined()) out.residual = out.residual.contiguous(at::MemoryFormat::ChannelsLast);
  if (kept != nullptr && out.clamp.active()) out.mask = *kept = packed_mask(y);
  return out;
}

void apply_rest_(const at::Tensor& y, const Epilogue* after, at::Tensor* kept) {
  if (after == nullptr || after->activation.smooth == SmoothActivation::kNone) return;
  const at::Tensor found = apply_epilogue_(y, *after, /*keeps=*/kept != nullptr);
  if (kept != nullptr) *kept = found;
}

at::Tensor activation_gradient(const at::Tensor& grad, const at::Tensor& mask, const FusedActivation& activation,
                               bool overwrites) {
  const at::Tensor from = grad.contiguous(at::MemoryFormat::ChannelsLast);
  if (!mask.defined()) return from;
  if (activation.smooth != SmoothActivation::kNone) return smooth_gradient(from, mask, activation.smooth, overwrites);
  if (mask.scalar_type() == at::kBool) return from * mask;
  const at::Tensor out = overwrites ? from : at::empty_like(from);
  if (from.scalar_type() == at::kFloat) {
    mask_rows<std::int32_t>(from.view(at::kInt), mask, out.view(at::kInt));
  } else {
    mask_rows<std::int16_t>(from.view(at::kShort), mask, out.view(at::kShort));
  }
  return out;
}

}  // namespace lorikeet
