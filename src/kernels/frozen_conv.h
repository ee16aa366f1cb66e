// A convolution with constant weights: forward pass and gradient to its input. The image size determines the kernel.
// Weights are packed once and kept, for the gradient too. Thread-safe.
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

/// A frozen convolution's weights multiplied by BatchNorm's scale.
at::Tensor scaled_weight(const at::Tensor& weight, const at::Tensor& scale);

/// Pads asymmetric padding with `value` into a channels-last copy. Returns x if the padding is symmetric, which oneDNN
/// handles.
at::Tensor pad_asymmetric(const at::Tensor& x, const Padding& pad, double value = 0);
/// Geometry of the convolution after pad_asymmetric().
ConvGeometry geometry_after_padding(const Conv2d& conv, const Padding& pad);

/// Algorithms of a frozen convolution.
enum class ConvStrategy {
  kPointwiseGemm,  // 1×1: one GEMM over the pixels
  kWinograd,       // 3×3 of stride 1, if it needs clearly fewer multiplications
  kDepthwise,      // each channel by its own 3×3, 5×5 or 7×7 filter, of stride 1 or 2
  kDenseGemm,      // few pixels, most taps read padding: one GEMM over complete images
  kPacked,         // oneDNN with packed weights; the gradient for stride 1 uses flipped, transposed weights
  kPlain,          // ATen's
};

enum class ConvDirection { kForward, kGradient };

/// The gradient after an activation, (N, out, H', W'), channels-last, with what forward() kept for the one before it.
struct ActivatedGradient {
  at::Tensor after;
  at::Tensor kept;
  FusedActivation activation;
  /// Whether `after` may be overwritten.
  bool overwrites = false;
};

class FrozenConv {
 public:
  /// weight: (out, in / groups, kh, kw), multiplied by scale: (out,), both float32. Runs in `precision`. Shares the
  /// weight's memory and keeps only packed copies.
  FrozenConv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, at::ScalarType precision);
  FrozenConv(const FrozenConv&) = delete;
  FrozenConv& operator=(const FrozenConv&) = delete;

  /// x (N, in, H, W), channels-last → (N, out, H', W'), channels-last, a new tensor, without bias. The result depends
  /// only on x and the number of threads, not on shapes run before.
  at::Tensor forward(const at::Tensor& x) const;
  /// The same, followed by `after`. If `kept` is given, sets it to what activation_gradient() needs.
  at::Tensor forward(const at::Tensor& x, const Epilogue& after, at::Tensor* kept = nullptr) const;
  /// The same, but the result may be in the memory of after.residual, which must be defined. A 1×1 convolution then
  /// starts its sums with the residual, so the last bits differ.
  at::Tensor forward_over_residual(const at::Tensor& x, const Epilogue& after) const;
  /// The gradient with respect to an input of `size` = (H, W): grad (N, out, H', W') → (N, in, H, W), both
  /// channels-last. If `sum` is given, (N, in, H, W), channels-last, adds to it in place and returns it.
  at::Tensor input_gradient(const at::Tensor& grad, Pair size, const at::Tensor& sum = {}) const;
  /// The same for the gradient after the activation.
  at::Tensor input_gradient(const ActivatedGradient& grad, Pair size, const at::Tensor& sum = {}) const;

  /// Bytes of the packed weights.
  std::uint64_t bytes() const { return packings_.bytes(); }

  /// The algorithm of forward() or input_gradient() for this number of images of this size = (H, W). It depends on
  /// nothing else but the processor and the number of threads.
  static ConvStrategy strategy_for(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images, Pair size,
                                   ConvDirection direction = ConvDirection::kForward);

  /// Bytes of the packed weights of forward(), or of those that input_gradient() needs beside them.
  static std::uint64_t packed_bytes(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images, Pair size,
                                    ConvDirection direction);

  /// Bytes that forward() and input_gradient() need beside their input, its padded copy and their output. oneDNN's are
  /// not counted.
  static std::uint64_t scratch_bytes(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images,
                                     Pair size);

 private:
  struct Size;
  struct Source;

  at::TensorOptions options() const;
  Size size_for(std::int64_t images, Pair in, ConvDirection direction = ConvDirection::kForward) const;
  at::Tensor exact_weight() const;  // float32
  at::Tensor weight() const;        // in `precision`
  at::Tensor plain_weight() const;
  Source source() const;
  Source matrix(const Size& size, bool transposed = false) const;
  at::Tensor packed(const Source& source, const ConvGeometry& geometry, at::IntArrayRef input) const;
  at::Tensor packed_matrix(const Source& matrix, const at::Tensor& image) const;
  at::Tensor product(const at::Tensor& rows, const Source& matrix, const Epilogue* after) const;
  at::Tensor product_(const at::Tensor& rows, const Source& matrix, const Epilogue& after) const;
  at::Tensor add_product(const at::Tensor& rows, const Source& matrix, const at::Tensor& sum) const;
  at::Tensor pointwise_gradient(const at::Tensor& grad, const Size& size, const at::Tensor& sum) const;
  at::Tensor own_forward(const at::Tensor& x, const Size& size, const Epilogue* after, at::Tensor* kept) const;
  bool has_own_product(const FusedActivation& activation, bool transposed = false) const;
  at::Tensor own_weight(bool transposed = false) const;
  at::Tensor own_product(const at::Tensor& x, const Epilogue& after, at::Tensor* kept, const at::Tensor& y) const;
  at::Tensor depthwise_weight() const;
  at::Tensor depthwise_gradient(const at::Tensor& grad, const at::Tensor& kept, const Size& size,
                                const at::Tensor& sum) const;
  at::Tensor winograd_weight() const;
  at::Tensor winograd_gradient(const at::Tensor& grad, const Size& size, const at::Tensor& sum) const;
  at::Tensor flipped_gradient(const at::Tensor& grad, Pair around, const at::Tensor& sum) const;
  at::Tensor plain_gradient(const at::Tensor& grad, const Size& size) const;

  Conv2d conv_;
  at::Tensor weight_;
  at::Tensor scale_;
  at::ScalarType precision_;
  Packings packings_;
};

}  // namespace lorikeet
