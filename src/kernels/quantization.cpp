#include "kernels/quantization.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/vector_clones.h"
#include "kernels/parallel.h"
#include "ops/window.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kStoredPerThread = 1 << 15;  // elements that make it worth waking a thread

LORIKEET_VECTOR_CLONES
void quantize_values(const float* x, std::int64_t count, float steps, float zero, std::uint8_t* stored) {
  constexpr float kRounder = 8388608.0F;  // 2²³ leaves the nearest integer in the lowest bits
  for (std::int64_t i = 0; i < count; ++i) {
    const float level = x[i] * steps + zero;
    const float above = level > 0 ? level : 0;
    stored[i] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>((above < 255 ? above : 255) + kRounder));
  }
}

LORIKEET_VECTOR_CLONES
void restore_values(const std::uint8_t* stored, std::int64_t count, float scale, std::int32_t zero, float* x) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(stored[i] - zero) * scale;
}

// 1 for each value with above < value < below, else 0.
LORIKEET_VECTOR_CLONES
void compare_values(const std::uint8_t* stored, std::int64_t count, std::int16_t above, std::int16_t below,
                    std::uint8_t* inside) {
  for (std::int64_t i = 0; i < count; ++i)
    inside[i] = static_cast<std::uint8_t>((stored[i] > above) & (stored[i] < below));
}

void pack_bits(const std::uint8_t* inside, std::int64_t bytes, std::uint8_t* bits) {
  for (std::int64_t i = 0; i < bytes; ++i) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, inside + 8 * i, sizeof eight);
    if constexpr (std::endian::native == std::endian::big) eight = __builtin_bswap64(eight);
    bits[i] = static_cast<std::uint8_t>(eight * 0x0102040810204080U >> 56U);  // the product moves bit 8k to bit 56 + k
  }
}

// A row of pixels, and the windows over it.
struct PooledRow {
  std::int64_t width, channels;
  std::int64_t kernel, stride, padding;
  std::int64_t windows;
};

// Raises each window's values to those of its pixels.
LORIKEET_VECTOR_CLONES
void raise_to_row(const std::uint8_t* __restrict x, const PooledRow& row, std::uint8_t* __restrict most) {
  for (std::int64_t window = 0; window < row.windows; ++window, most += row.channels) {
    const std::int64_t left = window * row.stride - row.padding;
    const std::int64_t first = left < 0 ? 0 : left;
    const std::int64_t last = left + row.kernel < row.width ? left + row.kernel : row.width;
    for (std::int64_t pixel = first; pixel < last; ++pixel) {
      const std::uint8_t* const values = x + pixel * row.channels;
      for (std::int64_t c = 0; c < row.channels; ++c) most[c] = values[c] > most[c] ? values[c] : most[c];
    }
  }
}

std::int16_t level_of(float bound, const Quantization& q) {
  const double level = std::nearbyint(bound / q.scale) + static_cast<double>(q.zero);
  return static_cast<std::int16_t>(std::clamp(level, -1.0, 256.0));
}

}  // namespace

at::Tensor quantized(const at::Tensor& x, const Quantization& q) {
  const at::Tensor from = x.to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor out = at::empty_like(from, from.options().dtype(at::kByte));
  const auto* const values = from.const_data_ptr<float>();
  auto* const stored = out.data_ptr<std::uint8_t>();
  const auto steps = static_cast<float>(1 / q.scale), zero = static_cast<float>(q.zero);
  parallel_for(from.numel(), kStoredPerThread, [&](std::int64_t begin, std::int64_t end) {
    quantize_values(values + begin, end - begin, steps, zero, stored + begin);
  });
  return out;
}

at::Tensor dequantized(const at::Tensor& stored, const Quantization& q, at::ScalarType type) {
  assert(stored.is_contiguous(at::MemoryFormat::ChannelsLast));
  at::Tensor out = at::empty_like(stored, stored.options().dtype(at::kFloat));
  const auto* const from = stored.const_data_ptr<std::uint8_t>();
  auto* const values = out.data_ptr<float>();
  const auto scale = static_cast<float>(q.scale);
  const auto zero = static_cast<std::int32_t>(q.zero);
  parallel_for(stored.numel(), kStoredPerThread, [&](std::int64_t begin, std::int64_t end) {
    restore_values(from + begin, end - begin, scale, zero, values + begin);
  });
  return out.to(type);
}

at::Tensor clamp_mask(const at::Tensor& y, const Quantization& q, const Clamp& clamp) {
  assert(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  const std::int16_t above = level_of(clamp.low, q), below = level_of(clamp.high, q);
  if (!has_packed_mask(y.size(1))) {
    const at::Tensor levels = y.to(at::kShort);  // uint8 cannot be compared with a bound beyond its range
    return at::logical_and(levels > above, levels < below);
  }
  at::Tensor mask = packed_mask(y);
  const auto* const stored = y.const_data_ptr<std::uint8_t>();
  auto* const bits = mask.data_ptr<std::uint8_t>();
  parallel_for(mask.numel(), kStoredPerThread / 8, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kBlock = 128;  // bytes of the mask
    std::uint8_t inside[8 * kBlock];
    for (std::int64_t first = begin; first < end; first += kBlock) {
      const std::int64_t bytes = std::min(kBlock, end - first);
      compare_values(stored + 8 * first, 8 * bytes, above, below, inside);
      pack_bits(inside, bytes, bits + first);
    }
  });
  return mask;
}

at::Tensor max_pooled(const at::Tensor& stored, const MaxPool2d& pool) {
  assert(stored.is_contiguous(at::MemoryFormat::ChannelsLast));
  const std::int64_t channels = stored.size(1), height = stored.size(2), width = stored.size(3);
  const auto windows = [&](std::size_t axis, std::int64_t size) {
    return window_count(size + 2 * pool.padding[axis], pool.kernel[axis], pool.stride[axis], /*dilation=*/1);
  };
  const std::int64_t rows = windows(0, height);
  const PooledRow row{width, channels, pool.kernel[1], pool.stride[1], pool.padding[1], windows(1, width)};
  at::Tensor out =
      at::empty({stored.size(0), channels, rows, row.windows}, stored.options(), at::MemoryFormat::ChannelsLast);
  const auto* const x = stored.const_data_ptr<std::uint8_t>();
  auto* const y = out.data_ptr<std::uint8_t>();
  const std::int64_t row_values = row.windows * channels;
  parallel_for(stored.size(0) * rows, kStoredPerThread / row_values + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t top = i % rows * pool.stride[0] - pool.padding[0];
      const std::int64_t first = std::max<std::int64_t>(top, 0), last = std::min(top + pool.kernel[0], height);
      std::memset(y + i * row_values, 0, static_cast<std::size_t>(row_values));
      for (std::int64_t from = first; from < last; ++from)
        raise_to_row(x + (i / rows * height + from) * width * channels, row, y + i * row_values);
    }
  });
  return out;
}

}  // namespace lorikeet
