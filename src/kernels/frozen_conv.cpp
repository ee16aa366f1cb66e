#include "kernels/frozen_conv.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "kernels/depthwise.h"
#include "kernels/pointwise.h"
#include "kernels/winograd.h"

namespace lorikeet {
namespace {

Pair output_sizes(const Conv2d& conv, const Padding& pad, std::int64_t height, std::int64_t width) {
  return {window_count(height + pad.top + pad.bottom, conv.kernel[0], conv.stride[0], conv.dilation[0]),
          window_count(width + pad.left + pad.right, conv.kernel[1], conv.stride[1], conv.dilation[1])};
}

// The inverse of pixels_of.
at::Tensor images_of(const at::Tensor& pixels, std::int64_t images, Pair size) {
  return pixels.view({images, size[0], size[1], pixels.size(1)}).permute({0, 3, 1, 2});
}

// (N, C, H, W) in channels-last memory → (N, H·W·C), without a copy.
at::Tensor rows_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({x.size(0), -1}); }
at::Tensor rows_to_images(const at::Tensor& rows, std::int64_t channels, Pair size) {
  return rows.view({rows.size(0), size[0], size[1], channels}).permute({0, 3, 1, 2});
}

at::Tensor subsample(const at::Tensor& x, Pair stride) {
  return x.slice(2, 0, std::nullopt, stride[0]).slice(3, 0, std::nullopt, stride[1]);
}

bool strided(const Conv2d& conv) { return conv.stride[0] != 1 || conv.stride[1] != 1; }

// The pixels that a strided 1×1 convolution reads.
at::Tensor strided_input(const Conv2d& conv, const at::Tensor& x) {
  return strided(conv) ? subsample(x, conv.stride) : x;
}

// The convolution as one matrix (H'·W'·out, H·W·in) applied to complete images.
at::Tensor dense_matrix(const Conv2d& conv, const at::Tensor& weight, const Padding& pad, Pair in, Pair out) {
  at::Tensor matrix = at::zeros({out[0], out[1], conv.out, in[0], in[1], conv.in}, weight.options());
  for (std::int64_t i = 0; i < out[0]; ++i) {
    for (std::int64_t j = 0; j < out[1]; ++j) {
      for (std::int64_t k = 0; k < conv.kernel[0]; ++k) {
        for (std::int64_t l = 0; l < conv.kernel[1]; ++l) {
          const std::int64_t row = i * conv.stride[0] - pad.top + k * conv.dilation[0];
          const std::int64_t column = j * conv.stride[1] - pad.left + l * conv.dilation[1];
          if (row < 0 || row >= in[0] || column < 0 || column >= in[1]) continue;
          matrix.select(0, i).select(0, j).select(1, row).select(1, column).copy_(weight.select(2, k).select(2, l));
        }
      }
    }
  }
  return matrix.view({out[0] * out[1] * conv.out, in[0] * in[1] * conv.in});
}

bool is_3x3(const Conv2d& conv) {
  return conv.kernel == Pair{3, 3} && !strided(conv) && conv.dilation == Pair{1, 1} && conv.groups == 1;
}

// A 3×3 convolution of stride 1, and the one that computes its input gradient, which needs padding 2 − padding.
WinogradShape winograd_shape(const Conv2d& conv, const Padding& pad, std::int64_t images, Pair in, Pair out) {
  return {images, in[0], in[1], conv.in, out[0], out[1], conv.out, pad.top, pad.left};
}
WinogradShape winograd_gradient_shape(const Conv2d& conv, const Padding& pad, std::int64_t images, Pair in, Pair out) {
  return {images, out[0], out[1], conv.out, in[0], in[1], conv.in, 2 - pad.top, 2 - pad.left};
}

DepthwiseShape depthwise_shape(const Conv2d& conv, const Padding& pad, std::int64_t images, Pair in, Pair out) {
  return {images, conv.in, in[0], in[1], out[0], out[1], conv.kernel[0], conv.stride[0], pad.top, pad.left};
}

// Weights of the stride-1 convolution that computes the input gradient: taps flipped, inputs and outputs exchanged.
at::Tensor flipped_transposed(const Conv2d& conv, const at::Tensor& weight) {
  return weight.view({conv.groups, conv.out / conv.groups, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]})
      .transpose(1, 2)
      .reshape({conv.in, conv.out / conv.groups, conv.kernel[0], conv.kernel[1]})
      .flip({2, 3});
}

}  // namespace

at::Tensor pixels_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

at::Tensor image_of(const at::Tensor& rows) { return images_of(rows.contiguous(), 1, {rows.size(0), 1}); }

Conv2d pointwise_conv(const Linear& linear) { return {.in = linear.in, .out = linear.out, .bias = linear.bias}; }

at::Tensor scaled_weight(const at::Tensor& weight, const at::Tensor& scale) {
  return weight * scale.view({-1, 1, 1, 1});
}

at::Tensor pad_asymmetric(const at::Tensor& x, const Padding& pad, double value) {
  if (pad.symmetric()) return x;
  return at::constant_pad_nd(x, {pad.left, pad.right, pad.top, pad.bottom}, value)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

ConvGeometry geometry_after_padding(const Conv2d& conv, const Padding& pad) {
  return {conv.stride, pad.symmetric() ? Pair{pad.top, pad.left} : Pair{0, 0}, conv.dilation, conv.groups};
}

namespace {

// The forms of the weights that are packed.
enum Form : int {
  kWeight,
  kFlipped,
  kMatrix,
  kTransposedMatrix,
  kDense,
  kTransposedDense,
  kPlainWeight,
  kWinogradWeight,
  kWinogradFlipped,
  kDepthwiseWeight,
  kPointwiseWeight,
  kTransposedPointwiseWeight
};

const ConvGeometry kPointwise{{1, 1}, {0, 0}, {1, 1}, 1};

}  // namespace

// How images of one size are processed.
struct FrozenConv::Size {
  Pair in;
  Padding pad;
  Pair out;
  ConvStrategy strategy;
  ConvGeometry geometry;  // after pad_asymmetric()
};

// One form of the weights, (out, in / groups, kh, kw), or a matrix as (out, in, 1, 1). `make` computes it before
// packing.
struct FrozenConv::Source {
  int form;
  std::int64_t part;  // image size of a dense matrix
  std::vector<std::int64_t> shape;
  std::function<at::Tensor()> make;
};

FrozenConv::FrozenConv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, at::ScalarType precision)
    : conv_(conv), weight_(std::move(weight)), scale_(std::move(scale)), precision_(precision) {}

ConvStrategy FrozenConv::strategy_for(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images,
                                      Pair size, ConvDirection direction) {
  const auto [height, width] = size;
  const Padding pad = padding_of(conv, height, width);
  const std::int64_t taps = conv.kernel[0] * conv.kernel[1];
  if (conv.groups == 1 && taps == 1 && pad.none()) return ConvStrategy::kPointwiseGemm;
  const Pair out = output_sizes(conv, pad, height, width);
  // At least half of the taps read padding, and the matrix is at most twice as large as the weights.
  const bool few = 2 * height * width <= taps && height * width * out[0] * out[1] <= 2 * taps;
  if (conv.groups == 1 && few) return ConvStrategy::kDenseGemm;
  const at::ScalarType type = c10::typeMetaToScalarType(weight.dtype());
  if (weight.device().is_cpu() && (type == at::kFloat || type == at::kBFloat16) && is_3x3(conv) &&
      (direction == ConvDirection::kForward
           ? winograd_pays(winograd_shape(conv, pad, images, size, out), type)
           : winograd_gradient_pays(winograd_gradient_shape(conv, pad, images, size, out), type)))
    return ConvStrategy::kWinograd;
  if (has_depthwise(conv, weight)) return ConvStrategy::kDepthwise;
  return can_pack(weight) ? ConvStrategy::kPacked : ConvStrategy::kPlain;
}

std::uint64_t FrozenConv::packed_bytes(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images,
                                       Pair size, ConvDirection direction) {
  const Padding pad = padding_of(conv, size[0], size[1]);
  const Pair out = output_sizes(conv, pad, size[0], size[1]);
  const bool is_gradient = direction == ConvDirection::kGradient;
  std::int64_t elements = conv.out * (conv.in / conv.groups) * conv.kernel[0] * conv.kernel[1];
  std::size_t element_size = weight.dtype().itemsize();
  switch (strategy_for(conv, weight, images, size, direction)) {
    case ConvStrategy::kPointwiseGemm:
    case ConvStrategy::kPacked: break;
    case ConvStrategy::kDenseGemm: elements = conv.in * size[0] * size[1] * conv.out * out[0] * out[1]; break;
    case ConvStrategy::kWinograd:
      elements = conv.in * conv.out * kWinogradPositions;
      element_size = sizeof(float);
      if (is_gradient && winograd_shares_weights(winograd_gradient_shape(conv, pad, images, size, out))) elements = 0;
      break;
    case ConvStrategy::kDepthwise: return is_gradient ? 0 : static_cast<std::uint64_t>(elements) * sizeof(float);
    case ConvStrategy::kPlain:
      if (is_gradient) elements = 0;
      break;
  }
  return static_cast<std::uint64_t>(elements) * element_size;
}

std::uint64_t FrozenConv::scratch_bytes(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t images,
                                        Pair size) {
  const Padding pad = padding_of(conv, size[0], size[1]);
  const Pair out = output_sizes(conv, pad, size[0], size[1]);
  const auto is_winograd = [&](ConvDirection direction) {
    return strategy_for(conv, weight, images, size, direction) == ConvStrategy::kWinograd;
  };
  std::uint64_t bytes = 0;
  if (is_winograd(ConvDirection::kForward)) bytes = winograd_scratch(winograd_shape(conv, pad, images, size, out));
  if (is_winograd(ConvDirection::kGradient))
    bytes = std::max(bytes, winograd_scratch(winograd_gradient_shape(conv, pad, images, size, out)));
  return bytes;
}

FrozenConv::Size FrozenConv::size_for(std::int64_t images, Pair in, ConvDirection direction) const {
  const Padding pad = padding_of(conv_, in[0], in[1]);
  return {in, pad, output_sizes(conv_, pad, in[0], in[1]), strategy_for(conv_, options(), images, in, direction),
          geometry_after_padding(conv_, pad)};
}

at::TensorOptions FrozenConv::options() const { return weight_.options().dtype(precision_); }

// Temporaries: only a packed form is kept.
at::Tensor FrozenConv::exact_weight() const { return scaled_weight(weight_, scale_); }
at::Tensor FrozenConv::weight() const { return exact_weight().to(precision_); }

at::Tensor FrozenConv::plain_weight() const {
  return packings_.get_plain(kPlainWeight, /*part=*/0,
                             [&] { return weight().contiguous(at::MemoryFormat::ChannelsLast); });
}

FrozenConv::Source FrozenConv::matrix(const Size& size, bool transposed) const {
  std::int64_t part = 0;
  std::int64_t rows = conv_.out;
  std::int64_t columns = conv_.in;
  std::function<at::Tensor()> make = [this, rows, columns] { return weight().view({rows, columns}); };
  const bool is_dense = size.strategy == ConvStrategy::kDenseGemm;
  if (is_dense) {
    part = size.in[0] << 32 | size.in[1];
    rows *= size.out[0] * size.out[1];
    columns *= size.in[0] * size.in[1];
    make = [this, size] {
      return dense_matrix(conv_, weight_, size.pad, size.in, size.out)
          .mul_(scale_.repeat({size.out[0] * size.out[1]}).unsqueeze(1))
          .to(precision_);
    };
  }
  if (!transposed) return {is_dense ? kDense : kMatrix, part, {rows, columns, 1, 1}, std::move(make)};
  return {is_dense ? kTransposedDense : kTransposedMatrix, part, {columns, rows, 1, 1}, [make = std::move(make)] {
            return make().t();
          }};
}

at::Tensor FrozenConv::packed(const Source& source, const ConvGeometry& geometry, at::IntArrayRef input) const {
  return packings_.get({source.form, source.part, layout_shape(source.shape, precision_, geometry, input),
                        [&] { return pack_weight(source.make().view(source.shape), geometry, input); }});
}

at::Tensor FrozenConv::packed_matrix(const Source& matrix, const at::Tensor& image) const {
  return packed(matrix, kPointwise, image.sizes());
}

// rows (M, in) · matrixᵀ. If possible, runs in oneDNN as a 1×1 convolution of one image of M pixels, which is faster.
at::Tensor FrozenConv::product(const at::Tensor& rows, const Source& matrix, const Epilogue* after) const {
  if (!can_pack(options())) {
    const at::Tensor y = at::mm(rows, packings_.get_plain(matrix.form, matrix.part, matrix.make).t());
    if (after != nullptr) apply_epilogue_(image_of(y), *after, /*keeps=*/false);
    return y;
  }
  const at::Tensor image = image_of(rows);
  const at::Tensor weight = packed_matrix(matrix, image);
  return pixels_of(after == nullptr ? packed_conv(image, weight, kPointwise)
                                    : packed_conv(image, weight, kPointwise, *after));
}

// The same in the memory of after.residual, an image too. The bias may be undefined.
at::Tensor FrozenConv::product_(const at::Tensor& rows, const Source& matrix, const Epilogue& after) const {
  if (can_pack(options())) {
    const at::Tensor image = image_of(rows);
    return pixels_of(packed_conv_(image, packed_matrix(matrix, image), kPointwise, after));
  }
  const at::Tensor y = pixels_of(after.residual);
  y.addmm_(rows, packings_.get_plain(matrix.form, matrix.part, matrix.make).t());
  if (after.bias.defined()) apply_epilogue_(after.residual, {after.bias, {}, after.activation}, /*keeps=*/false);
  return y;
}

// Adds it to `sum` (M, out), or returns a new tensor without one.
at::Tensor FrozenConv::add_product(const at::Tensor& rows, const Source& matrix, const at::Tensor& sum) const {
  return sum.defined() ? product_(rows, matrix, {{}, image_of(sum), {}}) : product(rows, matrix, nullptr);
}

at::Tensor FrozenConv::forward(const at::Tensor& x) const {
  const Size size = size_for(x.size(0), {x.size(2), x.size(3)});
  switch (size.strategy) {
    case ConvStrategy::kWinograd:
    case ConvStrategy::kDepthwise: return own_forward(x, size, nullptr, nullptr);
    case ConvStrategy::kPointwiseGemm:
      return images_of(product(pixels_of(strided_input(conv_, x)), matrix(size), nullptr), x.size(0), size.out);
    case ConvStrategy::kDenseGemm:
      return rows_to_images(product(rows_of(x), matrix(size), nullptr), conv_.out, size.out);
    case ConvStrategy::kPacked: {
      const at::Tensor padded = pad_asymmetric(x, size.pad);
      return packed_conv(padded, packed(source(), size.geometry, padded.sizes()), size.geometry);
    }
    case ConvStrategy::kPlain: break;
  }
  const ConvGeometry& g = size.geometry;
  return at::conv2d(pad_asymmetric(x, size.pad), plain_weight(), {}, g.stride, g.padding, g.dilation, g.groups)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor FrozenConv::forward(const at::Tensor& x, const Epilogue& after, at::Tensor* kept) const {
  const Size size = size_for(x.size(0), {x.size(2), x.size(3)});
  if (size.strategy == ConvStrategy::kWinograd || size.strategy == ConvStrategy::kDepthwise)
    return own_forward(x, size, &after, kept);
  if (size.strategy == ConvStrategy::kPointwiseGemm && has_own_product(after.activation)) {
    const at::Tensor y =
        at::empty({x.size(0), conv_.out, size.out[0], size.out[1]}, x.options(), at::MemoryFormat::ChannelsLast);
    return own_product(x, after, kept, y);
  }
  if (kept != nullptr && after.activation.active()) {  // no library's epilogue keeps it
    const at::Tensor y = forward(x);
    *kept = apply_epilogue_(y, after, /*keeps=*/true);
    return y;
  }
  if (size.strategy == ConvStrategy::kPacked) {
    const at::Tensor padded = pad_asymmetric(x, size.pad);
    return packed_conv(padded, packed(source(), size.geometry, padded.sizes()), size.geometry, after);
  }
  if (size.strategy == ConvStrategy::kPointwiseGemm) {
    Epilogue by_pixel = after;
    if (after.residual.defined()) by_pixel.residual = image_of(pixels_of(after.residual));
    return images_of(product(pixels_of(strided_input(conv_, x)), matrix(size), &by_pixel), x.size(0), size.out);
  }
  const at::Tensor y = forward(x);
  apply_epilogue_(y, after, /*keeps=*/false);
  return y;
}

at::Tensor FrozenConv::forward_over_residual(const at::Tensor& x, const Epilogue& after) const {
  const Size size = size_for(x.size(0), {x.size(2), x.size(3)});
  if (size.strategy != ConvStrategy::kPointwiseGemm) return forward(x, after);
  if (has_own_product(after.activation)) return own_product(x, after, nullptr, after.residual);
  const Epilogue by_pixel{after.bias, image_of(pixels_of(after.residual)), after.activation};
  return images_of(product_(pixels_of(strided_input(conv_, x)), matrix(size), by_pixel), x.size(0), size.out);
}

// The project's own kernels include what follows.
at::Tensor FrozenConv::own_forward(const at::Tensor& x, const Size& size, const Epilogue* after,
                                   at::Tensor* kept) const {
  if (size.strategy == ConvStrategy::kWinograd)
    return winograd_conv(x, winograd_weight(), winograd_shape(conv_, size.pad, x.size(0), size.in, size.out), after,
                         kept);
  return depthwise_conv(x, depthwise_weight(), depthwise_shape(conv_, size.pad, x.size(0), size.in, size.out), after,
                        kept);
}

// Smooth activations are computed in a second pass, also by oneDNN while training.
bool FrozenConv::has_own_product(const FusedActivation& activation, bool transposed) const {
  return activation.smooth == SmoothActivation::kNone &&
         has_pointwise(transposed ? conv_.out : conv_.in, transposed ? conv_.in : conv_.out, options());
}

at::Tensor FrozenConv::own_weight(bool transposed) const {
  return packings_.get_plain(transposed ? kTransposedPointwiseWeight : kPointwiseWeight, /*part=*/0, [&] {
    const at::Tensor matrix = exact_weight().view({conv_.out, conv_.in});
    return pointwise_weights(transposed ? matrix.t() : matrix);
  });
}

// A 1×1 convolution. y: the output, which may be the residual.
at::Tensor FrozenConv::own_product(const at::Tensor& x, const Epilogue& after, at::Tensor* kept,
                                   const at::Tensor& y) const {
  pointwise_product(pixels_of(strided_input(conv_, x)), /*x_mask=*/{}, own_weight(), joined_epilogue(y, &after, kept),
                    pixels_of(y));
  return y;
}

at::Tensor FrozenConv::input_gradient(const at::Tensor& grad, Pair in, const at::Tensor& sum) const {
  const Size size = size_for(grad.size(0), in, ConvDirection::kGradient);
  switch (size.strategy) {
    case ConvStrategy::kWinograd: return winograd_gradient(grad, size, sum);
    case ConvStrategy::kDepthwise: return depthwise_gradient(grad, /*kept=*/{}, size, sum);
    case ConvStrategy::kPointwiseGemm: return pointwise_gradient(grad, size, sum);
    case ConvStrategy::kDenseGemm: {
      const at::Tensor sum_rows = sum.defined() ? rows_of(sum) : sum;
      return rows_to_images(add_product(rows_of(grad), matrix(size, /*transposed=*/true), sum_rows), conv_.in, in);
    }
    case ConvStrategy::kPacked:
    case ConvStrategy::kPlain: break;
  }
  // For stride 1, the gradient is a convolution with the flipped weights, with padding dilation · (kernel − 1) −
  // padding.
  const Pair around{conv_.dilation[0] * (conv_.kernel[0] - 1) - size.geometry.padding[0],
                    conv_.dilation[1] * (conv_.kernel[1] - 1) - size.geometry.padding[1]};
  const bool flips = size.strategy == ConvStrategy::kPacked && !strided(conv_) && around[0] >= 0 && around[1] >= 0;
  if (flips && size.pad.symmetric()) return flipped_gradient(grad, around, sum);
  at::Tensor out = flips ? flipped_gradient(grad, around, {}) : plain_gradient(grad, size);
  if (!size.pad.symmetric())
    out = out.slice(2, size.pad.top, size.pad.top + in[0]).slice(3, size.pad.left, size.pad.left + in[1]);
  return sum.defined() ? sum.add_(out) : out.contiguous(at::MemoryFormat::ChannelsLast);
}

// A strided convolution has no gradient to the pixels that it does not read.
at::Tensor FrozenConv::pointwise_gradient(const at::Tensor& grad, const Size& size, const at::Tensor& sum) const {
  const Source transposed = matrix(size, /*transposed=*/true);
  const std::int64_t images = grad.size(0);
  if (!strided(conv_)) {
    const at::Tensor sum_pixels = sum.defined() ? pixels_of(sum) : sum;
    return images_of(add_product(pixels_of(grad), transposed, sum_pixels), images, size.out);
  }
  const at::Tensor read = images_of(product(pixels_of(grad), transposed, nullptr), images, size.out);
  if (sum.defined()) {
    subsample(sum, conv_.stride).add_(read);
    return sum;
  }
  const at::Tensor out = at::empty({images, conv_.in, size.in[0], size.in[1]},
                                   grad.options().memory_format(at::MemoryFormat::ChannelsLast))
                             .zero_();
  subsample(out, conv_.stride).copy_(read);
  return out;
}

at::Tensor FrozenConv::input_gradient(const ActivatedGradient& grad, Pair in, const at::Tensor& sum) const {
  const Size size = size_for(grad.after.size(0), in, ConvDirection::kGradient);
  if (size.strategy == ConvStrategy::kDepthwise && grad.activation.clamp.active())
    return depthwise_gradient(grad.after, grad.kept, size, sum);
  if (size.strategy == ConvStrategy::kPointwiseGemm && !strided(conv_) && grad.activation.clamp.active() &&
      has_packed_mask(conv_.out) && has_own_product(grad.activation, /*transposed=*/true)) {
    JoinedEpilogue after;
    after.residual = sum;
    const at::Tensor y = sum.defined() ? sum
                                       : at::empty({grad.after.size(0), conv_.in, in[0], in[1]}, grad.after.options(),
                                                   at::MemoryFormat::ChannelsLast);
    pointwise_product(pixels_of(grad.after), grad.kept, own_weight(/*transposed=*/true), after, pixels_of(y));
    return y;
  }
  return input_gradient(activation_gradient(grad.after, grad.kept, grad.activation, grad.overwrites), in, sum);
}

at::Tensor FrozenConv::depthwise_gradient(const at::Tensor& grad, const at::Tensor& kept, const Size& size,
                                          const at::Tensor& sum) const {
  const at::Tensor out = lorikeet::depthwise_gradient(
      grad, depthwise_weight(), depthwise_shape(conv_, size.pad, grad.size(0), size.in, size.out), kept);
  return sum.defined() ? sum.add_(out) : out;
}

at::Tensor FrozenConv::depthwise_weight() const {
  return packings_.get_plain(kDepthwiseWeight, /*part=*/0,
                             [this] { return depthwise_weights(scaled_weight(weight_, scale_)); });
}

at::Tensor FrozenConv::winograd_weight() const {
  return packings_.get_plain(kWinogradWeight, /*part=*/0, [this] { return winograd_weights(exact_weight()); });
}

at::Tensor FrozenConv::winograd_gradient(const at::Tensor& grad, const Size& size, const at::Tensor& sum) const {
  const WinogradShape shape = winograd_gradient_shape(conv_, size.pad, grad.size(0), size.in, size.out);
  if (winograd_shares_weights(shape)) return lorikeet::winograd_gradient(grad, {winograd_weight()}, shape, sum);
  const at::Tensor flipped = packings_.get_plain(
      kWinogradFlipped, /*part=*/0, [this] { return winograd_weights(flipped_transposed(conv_, exact_weight())); });
  return lorikeet::winograd_gradient(grad, {flipped, /*are_flipped=*/true}, shape, sum);
}

at::Tensor FrozenConv::flipped_gradient(const at::Tensor& grad, Pair around, const at::Tensor& sum) const {
  const ConvGeometry geometry{{1, 1}, around, conv_.dilation, conv_.groups};
  const Source flipped{kFlipped, 0, {conv_.in, conv_.out / conv_.groups, conv_.kernel[0], conv_.kernel[1]}, [this] {
                         return flipped_transposed(conv_, weight());
                       }};
  const at::Tensor weight = packed(flipped, geometry, grad.sizes());
  return sum.defined() ? packed_conv_(grad, weight, geometry, {{}, sum, {}}) : packed_conv(grad, weight, geometry);
}

at::Tensor FrozenConv::plain_gradient(const at::Tensor& grad, const Size& size) const {
  const ConvGeometry& g = size.geometry;
  const Padding& pad = size.pad;
  const Pair in =
      pad.symmetric() ? size.in : Pair{size.in[0] + pad.top + pad.bottom, size.in[1] + pad.left + pad.right};
  // Only the shape of `input` matters.
  const at::Tensor input =
      at::empty({grad.size(0), conv_.in, in[0], in[1]}, grad.options().memory_format(at::MemoryFormat::ChannelsLast));
  return std::get<0>(at::convolution_backward(
                         grad, input, plain_weight(), at::OptionalIntArrayRef(), g.stride, g.padding, g.dilation,
                         /*transposed=*/false, at::IntArrayRef{0, 0}, g.groups, {true, false, false}))
      .contiguous(at::MemoryFormat::ChannelsLast);
}

FrozenConv::Source FrozenConv::source() const {
  return {kWeight, 0, weight_.sizes().vec(), [this] { return weight(); }};
}

}  // namespace lorikeet
