#include "kernels/frozen_int8_linear.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/vector_clones.h"
#include "kernels/parallel.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kQuantizedPerThread = 1 << 15;  // elements that make it worth waking a thread

// Integers in the order of the floats, because compilers do not vectorise a maximum of floats. NaN is the greatest or
// the least.
inline std::int32_t ordered(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}
inline float from_ordered(std::int32_t key) { return std::bit_cast<float>(key ^ ((key >> 31) & 0x7FFFFFFF)); }

// Where a value is not finite, so is the scale or the offset, and thus the result.
LORIKEET_VECTOR_CLONES
void quantize_row(const float* x, std::int64_t count, std::uint8_t* stored, float* scale, float* offset) {
  std::int32_t low = std::numeric_limits<std::int32_t>::max(), high = std::numeric_limits<std::int32_t>::min();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t key = ordered(x[i]);
    low = std::min(low, key);
    high = std::max(high, key);
  }
  constexpr float kSteps = 255;
  const float least = from_ordered(low);
  *offset = least;
  *scale = (from_ordered(high) - least) / kSteps;
  const float steps = *scale > std::numeric_limits<float>::min() ? 1 / *scale : 0;
  constexpr float kRounder = 8388608.0F;  // 2²³ leaves the nearest integer in the lowest bits
  for (std::int64_t i = 0; i < count; ++i)
    stored[i] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>((x[i] - least) * steps + kRounder));
}

// y → scale · y + offset · sums.
LORIKEET_VECTOR_CLONES
void restore_row(float* y, std::int64_t count, float scale, float offset, const float* sums) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = scale * y[i] + offset * sums[i];
}

// Calls run(row) for all rows of `count` elements.
template <typename Run>
void each_row(std::int64_t rows, std::int64_t count, const Run& run) {
  const std::int64_t grain = std::max<std::int64_t>(1, kQuantizedPerThread / count);
  parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) run(row);
  });
}

}  // namespace

QuantizedRows quantize_rows(const at::Tensor& rows) {
  const std::int64_t count = rows.size(1);
  QuantizedRows out{at::empty(rows.sizes(), rows.options().dtype(at::kByte)), at::empty({rows.size(0)}, rows.options()),
                    at::empty({rows.size(0)}, rows.options())};
  const auto* const from = rows.const_data_ptr<float>();
  auto* const stored = out.stored.data_ptr<std::uint8_t>();
  auto *const scale = out.scale.data_ptr<float>(), *const offset = out.offset.data_ptr<float>();
  each_row(rows.size(0), count, [&](std::int64_t row) {
    quantize_row(from + row * count, count, stored + row * count, scale + row, offset + row);
  });
  return out;
}

FrozenInt8Linear::FrozenInt8Linear(at::Tensor weight, at::Tensor scale)
    : weight_(std::move(weight)), scale_(std::move(scale)), int8_(this->weight()) {}

// A temporary: only its packed form is kept.
at::Tensor FrozenInt8Linear::weight() const { return weight_ * scale_.unsqueeze(1); }

at::Tensor FrozenInt8Linear::operator()(const at::Tensor& x, at::ScalarType type) const {
  const QuantizedRows rows = quantize_rows(x.to(at::kFloat));
  const std::int64_t count = rows.stored.size(0), outputs = weight_.size(0);
  const at::Tensor packed = packings_.get(
      {/*form=*/0, /*part=*/0, {count, outputs, weight_.size(1)}, [&] { return int8_.pack(weight(), count); }});
  at::Tensor y = int8_.product(rows.stored, packed);
  auto* const values = y.data_ptr<float>();
  const auto *const scale = rows.scale.const_data_ptr<float>(), *const offset = rows.offset.const_data_ptr<float>(),
                    *const sums = int8_.sums().const_data_ptr<float>();
  each_row(count, outputs,
           [&](std::int64_t row) { restore_row(values + row * outputs, outputs, scale[row], offset[row], sums); });
  return y.to(type);
}

}  // namespace lorikeet
