#include "kernels/frozen_conv.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <utility>

namespace lorikeet {
namespace {

Pair output_sizes(const Conv2d& conv, const Padding& pad, std::int64_t height, std::int64_t width) {
  return {window_count(height + pad.top + pad.bottom, conv.kernel[0], conv.stride[0], conv.dilation[0]),
          window_count(width + pad.left + pad.right, conv.kernel[1], conv.stride[1], conv.dilation[1])};
}

// The way back from pixels_of.
at::Tensor images_of(const at::Tensor& pixels, std::int64_t images, Pair size) {
  return pixels.view({images, size[0], size[1], pixels.size(1)}).permute({0, 3, 1, 2});
}

// (N, C, H, W) in channels-last memory ↔ (N, H·W·C), without a copy.
at::Tensor rows_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({x.size(0), -1}); }
at::Tensor rows_to_images(const at::Tensor& rows, std::int64_t channels, Pair size) {
  return rows.view({rows.size(0), size[0], size[1], channels}).permute({0, 3, 1, 2});
}

at::Tensor subsample(const at::Tensor& x, Pair stride) {
  return x.slice(2, 0, std::nullopt, stride[0]).slice(3, 0, std::nullopt, stride[1]);
}

bool strided(const Conv2d& conv) { return conv.stride[0] != 1 || conv.stride[1] != 1; }

// The convolution as one matrix (H'·W'·out, H·W·in) over whole images.
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

}  // namespace

// rows (M, in) · weightᵀ, weight (out, in), which stays: where that is faster, by oneDNN as a 1×1 convolution of one
// image of M pixels, its weights packed once.
class FrozenProduct {
 public:
  FrozenProduct() = default;
  FrozenProduct(const at::Tensor& weight, std::int64_t rows) {
    if (can_pack(weight.options())) {
      packed_ = PackedConv(weight.unsqueeze(2).unsqueeze(3), {{1, 1}, {0, 0}, {1, 1}, 1}, {1, weight.size(1), rows, 1});
    } else {
      matrix_ = weight.t();
    }
  }

  explicit operator bool() const { return packed_ || matrix_.defined(); }

  at::Tensor operator()(const at::Tensor& rows) const {
    return packed_ ? pixels_of(packed_(image_of(rows))) : at::mm(rows, matrix_);
  }
  /// residual in `after`: (M, out), or undefined.
  at::Tensor operator()(const at::Tensor& rows, Epilogue after) const {
    if (after.residual.defined()) after.residual = image_of(after.residual);
    if (packed_) return pixels_of(packed_(image_of(rows), after));
    const at::Tensor y = at::mm(rows, matrix_);
    apply_epilogue_(image_of(y), after, /*masked=*/false);
    return y;
  }

 private:
  static at::Tensor image_of(const at::Tensor& rows) { return images_of(rows, 1, {rows.size(0), 1}); }

  at::Tensor matrix_;
  PackedConv packed_;
};

namespace {

// What turns a gradient into the input's by an ordinary convolution of stride 1: taps flipped, inputs and outputs
// exchanged.
at::Tensor flipped_transposed(const Conv2d& conv, const at::Tensor& weight) {
  return weight.view({conv.groups, conv.out / conv.groups, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]})
      .transpose(1, 2)
      .reshape({conv.in, conv.out / conv.groups, conv.kernel[0], conv.kernel[1]})
      .flip({2, 3});
}

}  // namespace

at::Tensor pixels_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

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

// Everything for one shape of input.
class FrozenConv::Prepared {
 public:
  Prepared(const FrozenConv& owner, const at::Tensor& x)
      : owner_(owner), conv_(owner.conv_), shape_(x.sizes().vec()), in_{x.size(2), x.size(3)},
        pad_(padding_of(conv_, in_[0], in_[1])), out_(output_sizes(conv_, pad_, in_[0], in_[1])),
        strategy_(strategy_for(conv_, owner.weight_.options().dtype(owner.precision_), in_[0], in_[1])) {
    switch (strategy_) {
      case ConvStrategy::kPointwiseGemm:
        forward_product_ = FrozenProduct(matrix(), x.size(0) * out_[0] * out_[1]);
        break;
      case ConvStrategy::kDenseGemm:
        forward_product_ = FrozenProduct(dense(), x.size(0));
        break;
      case ConvStrategy::kPacked:
        forward_ = PackedConv(weight(), geometry(), padded(x).sizes());
        break;
      case ConvStrategy::kPlain:
        plain_weight_ = plain_weight();
        break;
    }
  }

  bool fits(const at::Tensor& x) const { return x.sizes() == shape_; }

  at::Tensor forward(const at::Tensor& x) const {
    switch (strategy_) {
      case ConvStrategy::kPointwiseGemm:
        return images_of(forward_product_(pixels_of(strided_input(x))), x.size(0), out_);
      case ConvStrategy::kDenseGemm:
        return rows_to_images(forward_product_(rows_of(x)), conv_.out, out_);
      case ConvStrategy::kPacked:
        return forward_(padded(x));
      case ConvStrategy::kPlain:
        break;
    }
    const ConvGeometry g = geometry();
    return at::conv2d(padded(x), plain_weight_, {}, g.stride, g.padding, g.dilation, g.groups)
        .contiguous(at::MemoryFormat::ChannelsLast);
  }

  at::Tensor forward(const at::Tensor& x, Epilogue after) const {
    if (strategy_ == ConvStrategy::kPacked) return forward_(padded(x), after);
    if (strategy_ == ConvStrategy::kPointwiseGemm) {
      if (after.residual.defined()) after.residual = pixels_of(after.residual);
      return images_of(forward_product_(pixels_of(strided_input(x)), after), x.size(0), out_);
    }
    const at::Tensor y = forward(x);
    apply_epilogue_(y, after, /*masked=*/false);
    return y;
  }

  at::Tensor input_gradient(const at::Tensor& grad) {
    switch (strategy_) {
      case ConvStrategy::kPointwiseGemm: {
        const at::Tensor pixels = pixels_of(grad);
        if (!backward_product_) backward_product_ = FrozenProduct(matrix().t(), pixels.size(0));
        const at::Tensor small = images_of(backward_product_(pixels), grad.size(0), out_);
        if (!strided(conv_)) return small;
        at::Tensor full = at::empty({grad.size(0), conv_.in, in_[0], in_[1]},
                                    grad.options().memory_format(at::MemoryFormat::ChannelsLast))
                              .zero_();
        subsample(full, conv_.stride).copy_(small);
        return full;
      }
      case ConvStrategy::kDenseGemm:
        if (!backward_product_) backward_product_ = FrozenProduct(dense().t(), grad.size(0));
        return rows_to_images(backward_product_(rows_of(grad)), conv_.in, in_);
      case ConvStrategy::kPacked:
      case ConvStrategy::kPlain:
        break;
    }
    return cropped(strategy_ == ConvStrategy::kPacked && flips() ? packed_backward(grad) : plain_backward(grad));
  }

 private:
  // Made for the moment: what is kept is what comes of it.
  at::Tensor weight() const { return scaled_weight(owner_.weight_, owner_.scale_).to(owner_.precision_); }
  at::Tensor plain_weight() const { return weight().contiguous(at::MemoryFormat::ChannelsLast); }
  at::Tensor matrix() const { return weight().view({conv_.out, conv_.in}); }
  at::Tensor dense() const {
    return dense_matrix(conv_, owner_.weight_, pad_, in_, out_)
        .mul_(owner_.scale_.repeat({out_[0] * out_[1]}).unsqueeze(1))
        .to(owner_.precision_);
  }

  ConvGeometry geometry() const { return geometry_after_padding(conv_, pad_); }
  at::Tensor padded(const at::Tensor& x) const { return pad_asymmetric(x, pad_); }

  // The pixels that a strided 1×1 sees.
  at::Tensor strided_input(const at::Tensor& x) const { return strided(conv_) ? subsample(x, conv_.stride) : x; }

  at::Tensor cropped(const at::Tensor& grad) const {
    if (pad_.symmetric()) return grad;
    return grad.slice(2, pad_.top, pad_.top + in_[0])
        .slice(3, pad_.left, pad_.left + in_[1])
        .contiguous(at::MemoryFormat::ChannelsLast);
  }

  // What a full convolution with the flipped weights needs on each side.
  Pair backward_padding() const {
    const ConvGeometry g = geometry();
    return {conv_.dilation[0] * (conv_.kernel[0] - 1) - g.padding[0],
            conv_.dilation[1] * (conv_.kernel[1] - 1) - g.padding[1]};
  }
  bool flips() const { return !strided(conv_) && backward_padding()[0] >= 0 && backward_padding()[1] >= 0; }

  at::Tensor packed_backward(const at::Tensor& grad) {
    if (!backward_) {
      backward_ = PackedConv(flipped_transposed(conv_, weight()),
                             {{1, 1}, backward_padding(), conv_.dilation, conv_.groups}, grad.sizes());
    }
    return backward_(grad);
  }

  at::Tensor plain_backward(const at::Tensor& grad) {
    if (!plain_weight_.defined()) plain_weight_ = plain_weight();
    const ConvGeometry g = geometry();
    const Pair size = pad_.symmetric() ? in_ : Pair{in_[0] + pad_.top + pad_.bottom, in_[1] + pad_.left + pad_.right};
    // Only the shape of the input matters.
    const at::Tensor input = at::empty({grad.size(0), conv_.in, size[0], size[1]},
                                       grad.options().memory_format(at::MemoryFormat::ChannelsLast));
    return std::get<0>(at::convolution_backward(
                           grad, input, plain_weight_, at::OptionalIntArrayRef(), g.stride, g.padding, g.dilation,
                           /*transposed=*/false, at::IntArrayRef{0, 0}, g.groups, {true, false, false}))
        .contiguous(at::MemoryFormat::ChannelsLast);
  }

  const FrozenConv& owner_;
  const Conv2d& conv_;
  std::vector<std::int64_t> shape_;  // of the input
  Pair in_;
  Padding pad_;
  Pair out_;
  ConvStrategy strategy_;
  // The backward ones are made when a gradient first asks for them.
  FrozenProduct forward_product_;  // kPointwiseGemm: (out, in); kDenseGemm: (H'·W'·out, H·W·in)
  FrozenProduct backward_product_;
  PackedConv forward_;  // kPacked
  PackedConv backward_;
  at::Tensor plain_weight_;  // kPlain, and the gradient of stride over 1
};

FrozenConv::FrozenConv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, at::ScalarType precision)
    : conv_(conv), weight_(std::move(weight)), scale_(std::move(scale)), precision_(precision) {}
FrozenConv::~FrozenConv() = default;

ConvStrategy FrozenConv::strategy_for(const Conv2d& conv, const at::TensorOptions& weight, std::int64_t height,
                                      std::int64_t width) {
  const Padding pad = padding_of(conv, height, width);
  const std::int64_t taps = conv.kernel[0] * conv.kernel[1];
  if (conv.groups == 1 && taps == 1 && pad.none()) return ConvStrategy::kPointwiseGemm;
  const Pair out = output_sizes(conv, pad, height, width);
  // Half of the taps or more see padding, and the matrix is at most twice the weights.
  const bool few = 2 * height * width <= taps && height * width * out[0] * out[1] <= 2 * taps;
  if (conv.groups == 1 && few) return ConvStrategy::kDenseGemm;
  return can_pack(weight) ? ConvStrategy::kPacked : ConvStrategy::kPlain;
}

FrozenConv::Prepared& FrozenConv::prepared_for(const at::Tensor& x) {
  if (prepared_ && prepared_->fits(x)) return *prepared_;
  prepared_.reset();  // before the next: both would be in memory at once
  prepared_ = std::make_unique<Prepared>(*this, x);
  return *prepared_;
}

at::Tensor FrozenConv::forward(const at::Tensor& x) { return prepared_for(x).forward(x); }
at::Tensor FrozenConv::forward(const at::Tensor& x, const Epilogue& after) { return prepared_for(x).forward(x, after); }

at::Tensor FrozenConv::input_gradient(const at::Tensor& grad) { return prepared_->input_gradient(grad); }

}  // namespace lorikeet
