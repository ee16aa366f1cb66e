#include "kernels/depthwise.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cassert>

#include "kernels/parallel.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kDepthwisePerThread = 1 << 17;  // minimum number

DepthwisePixels depthwise_pixels(const at::Tensor& from, const at::Tensor& to) {
  assert(to.scalar_type() == from.scalar_type());
  return {from.const_data_ptr(), to.mutable_data_ptr(), from.scalar_type() == at::kBFloat16};
}

// Calls run(begin, end) for the rows of `images` images of this height and width.
template <typename Run>
void for_rows(const DepthwiseShape& shape, std::int64_t height, std::int64_t width, const Run& run) {
  const std::int64_t products = width * shape.channels * shape.kernel * shape.kernel;
  parallel_for(shape.images * height, std::max<std::int64_t>(1, kDepthwisePerThread / products), run);
}

}  // namespace

bool has_depthwise(const Conv2d& conv, const at::TensorOptions& pixels) {
  const at::ScalarType type = c10::typeMetaToScalarType(pixels.dtype());
  const std::int64_t kernel = conv.kernel[0];
  return has_depthwise() && pixels.device().is_cpu() && (type == at::kFloat || type == at::kBFloat16) &&
         conv.groups == conv.in && conv.out == conv.in && conv.in % kDepthwiseStep == 0 && conv.in >= kDepthwiseLeast &&
         conv.kernel[1] == kernel && (kernel == 3 || kernel == 5 || kernel == 7) && conv.dilation == Pair{1, 1} &&
         (conv.stride == Pair{1, 1} || conv.stride == Pair{2, 2});
}

at::Tensor depthwise_weights(const at::Tensor& weight) {
  assert(weight.scalar_type() == at::kFloat && weight.size(1) == 1);
  return weight.select(1, 0).permute({1, 2, 0}).contiguous();
}

at::Tensor depthwise_conv(const at::Tensor& x, const at::Tensor& weights, const DepthwiseShape& shape,
                          const Epilogue* after, at::Tensor* kept) {
  const at::Tensor from = x.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor y = at::empty({shape.images, shape.channels, shape.out_height, shape.out_width},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const JoinedEpilogue joined = joined_epilogue(y, after, kept);
  const auto finish = simd_epilogue<void>(joined);
  const DepthwisePixels pixels = depthwise_pixels(from, y);
  const auto* const values = weights.const_data_ptr<float>();
  for_rows(shape, shape.out_height, shape.out_width, [&](std::int64_t begin, std::int64_t end) {
    convolve_depthwise(shape, pixels, values, finish, {begin, end});
  });
  apply_rest_(y, after, kept);
  return y;
}

at::Tensor depthwise_gradient(const at::Tensor& grad, const at::Tensor& weights, const DepthwiseShape& shape,
                              const at::Tensor& mask) {
  const at::Tensor from = grad.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor to = at::empty({shape.images, shape.channels, shape.height, shape.width},
                            grad.options().memory_format(at::MemoryFormat::ChannelsLast));
  const DepthwisePixels pixels = depthwise_pixels(from, to);
  const auto* const values = weights.const_data_ptr<float>();
  const auto* const bits = mask.defined() ? mask.const_data_ptr<std::uint8_t>() : nullptr;
  for_rows(shape, shape.height, shape.width, [&](std::int64_t begin, std::int64_t end) {
    gradient_depthwise(shape, pixels, values, bits, {begin, end});
  });
  return to;
}

}  // namespace lorikeet
