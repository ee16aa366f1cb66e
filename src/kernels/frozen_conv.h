// A convolution whose weights do not change: forward, and the gradient to its input. It runs by the kernel that suits
// the image's size, on weights that are packed once and kept, those of the gradient too. For any number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graph/graph.h"
#include "graph/shapes.h"
#include "kernels/epilogue.h"
#include "kernels/onednn.h"
#include "kernels/packings.h"

namespace lorikeet {

/// (N, C, H, W) in channels-last memory → (N·H·W, C), without a copy.
at::Tensor pixels_of(const at::Tensor& x);

/// rows (M, C) as one image of M pixels, channels-last; without a copy where they are contiguous.
at::Tensor image_of(const at::Tensor& rows);

/// A Linear as the 1×1 convolution of an image whose pixels are the rows.
Conv2d pointwise_conv(const Linear& linear);

/// A frozen convolution's weights with BatchNorm's scale in them.
at::Tensor scaled_weight(const at::Tensor& weight, const at::Tensor& scale);

/// Pads with `value` if the sides differ, into a channels-last copy; otherwise returns x itself: oneDNN pads equal
/// sides.
at::Tensor pad_asymmetric(const at::Tensor& x, const Padding& pad, double value = 0);
/// The convolution that is left to do after pad_asymmetric().
ConvGeometry geometry_after_padding(const Conv2d& conv, const Padding& pad);

/// How a frozen convolution runs, the simplest last.
enum class ConvStrategy {
  kPointwiseGemm,  // 1×1: one GEMM over the pixels
  kDenseGemm,      // so few pixels that most taps see padding: one GEMM over whole images
  kPacked,  // oneDNN with packed weights; the gradient of stride 1 is a convolution with flipped, transposed ones
  kPlain,   // ATen's
};

class FrozenConv {
 public:
  /// weight (out, in / groups, kh, kw), to be multiplied by scale (out,), both float32; runs in `precision`. Shares the
  /// weight's memory and keeps no copy beside what it has packed.
  FrozenConv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, at::ScalarType precision);
  FrozenConv(const FrozenConv&) = delete;
  FrozenConv& operator=(const FrozenConv&) = delete;

  /// x (N, in, H, W), channels-last → (N, out, H', W'), channels-last; a new tensor. Without bias. The result depends
  /// on x and the number of threads alone, whatever other shapes ran before.
  at::Tensor forward(const at::Tensor& x) const;
  /// The same with what follows it.
  at::Tensor forward(const at::Tensor& x, const Epilogue& after) const;
  /// The gradient to an input of `size` = (H, W). grad (N, out, H', W') → (N, in, H, W), both channels-last.
  at::Tensor input_gradient(const at::Tensor& grad, Pair size) const;

  /// Bytes of the packed weights that are kept.
  std::uint64_t bytes() const { return packings_.bytes(); }

  /// How images of this size run.
  static ConvStrategy strategy_for(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t height,
                                   std::int64_t width);

 private:
  struct Size;
  struct Source;

  at::TensorOptions options() const;
  Size size_for(Pair in) const;
  at::Tensor weight() const;
  at::Tensor plain_weight() const;
  Source source() const;
  Source matrix(const Size& size, bool transposed = false) const;
  at::Tensor packed(const Source& source, const ConvGeometry& geometry, at::IntArrayRef input) const;
  at::Tensor product(const at::Tensor& rows, const Source& matrix, const Epilogue* after) const;
  at::Tensor flipped_gradient(const at::Tensor& grad, Pair around) const;
  at::Tensor plain_gradient(const at::Tensor& grad, const Size& size) const;

  Conv2d conv_;
  at::Tensor weight_;
  at::Tensor scale_;
  at::ScalarType precision_;
  Packings packings_;
};

}  // namespace lorikeet
