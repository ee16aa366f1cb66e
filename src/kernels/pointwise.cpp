#include "kernels/pointwise.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cassert>

#include "kernels/parallel.h"
#include "kernels/pointwise_simd.h"

namespace lorikeet {
namespace {

// How the product is divided: blocks of pixels, and parts of the outputs where there are few blocks.
struct PointwiseDivision {
  std::int64_t pixels;  // of a block
  std::int64_t blocks;
  std::int64_t parts;
};

PointwiseDivision pointwise_division(std::int64_t pixels, std::int64_t in, std::int64_t pairs) {
  constexpr std::int64_t kBlock = 192 << 10;  // elements of packed pixels, which stay in the second-level cache
  const std::int64_t threads = at::get_num_threads();
  const std::int64_t tiles = (pixels + kPointwiseTile - 1) / kPointwiseTile;
  const std::int64_t most = std::clamp<std::int64_t>(kBlock / (kPointwiseTile * in), 4, 16);
  const std::int64_t blocks_of_thread = (tiles + most * threads - 1) / (most * threads);
  const std::int64_t tiles_of_block = (tiles + blocks_of_thread * threads - 1) / (blocks_of_thread * threads);
  const std::int64_t blocks = (tiles + tiles_of_block - 1) / tiles_of_block;
  return {tiles_of_block * kPointwiseTile, blocks, std::min(pairs, (threads + blocks - 1) / blocks)};
}

template <typename T>
const T* at_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

}  // namespace

bool has_pointwise(std::int64_t in, std::int64_t out, const at::TensorOptions& options) {
  constexpr std::int64_t kLeast = 128;  // with fewer, packing the pixels takes too long
  return options.device().is_cpu() && options.dtype() == at::kBFloat16 && in >= kLeast && in % kPointwiseLanes == 0 &&
         out % kPointwiseLanes == 0 && has_pointwise();
}

at::Tensor pointwise_weights(const at::Tensor& matrix) {
  const std::int64_t out = matrix.size(0), in = matrix.size(1);
  return matrix.to(at::kBFloat16)
      .reshape({out / kPointwiseLanes, kPointwiseLanes, in / 2, 2})
      .permute({0, 2, 1, 3})
      .contiguous();
}

void pointwise_product(const at::Tensor& x, const at::Tensor& x_mask, const at::Tensor& weights,
                       const JoinedEpilogue& after, const at::Tensor& y) {
  assert(y.is_contiguous());
  const at::Tensor from = x.contiguous();  // pixels of a strided convolution may be apart
  const PointwiseProduct product{.in = x.size(1),
                                 .out = y.size(1),
                                 .x = at_or_null<std::uint16_t>(from),
                                 .x_mask = at_or_null<std::uint8_t>(x_mask),
                                 .weights = at_or_null<std::uint16_t>(weights),
                                 .y = static_cast<std::uint16_t*>(y.mutable_data_ptr()),
                                 .finish = simd_epilogue<std::uint16_t>(after)};
  const std::int64_t pixels = x.size(0), groups = product.out / kPointwiseLanes, pairs = (groups + 1) / 2;
  const PointwiseDivision division = pointwise_division(pixels, product.in, pairs);
  parallel_for(division.blocks * division.parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::Tensor packed = at::empty({std::min(division.pixels, pixels) * product.in}, x.options());
    auto* const scratch = static_cast<std::uint16_t*>(packed.mutable_data_ptr());
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i / division.parts * division.pixels, part = i % division.parts;
      multiply_pointwise(product,
                         {first, std::min(division.pixels, pixels - first), pairs * part / division.parts * 2,
                          std::min(groups, pairs * (part + 1) / division.parts * 2)},
                         scratch);
    }
  });
}

}  // namespace lorikeet
