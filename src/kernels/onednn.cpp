#include "kernels/onednn.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>

#include <limits>
#include <utility>

namespace lorikeet {
namespace {

std::vector<std::int64_t> list(const Pair& pair) { return {pair[0], pair[1]}; }

// Boxed, because the C++ signatures differ between libtorch versions, but the schemas do not.
at::Tensor call(const char* name, const char* overload, std::vector<c10::IValue> arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
  torch::jit::Stack stack(std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  op.callBoxed(stack);
  return std::move(stack.at(0)).toTensor();
}

// The name of an activation in ATen's operators.
struct Attributes {
  const char* name = "none";
  c10::List<std::optional<at::Scalar>> numbers;
  c10::IValue algorithm;
};

bool has_relu(const FusedActivation& activation) {
  return activation.clamp.low == 0 && activation.clamp.high == std::numeric_limits<float>::infinity();
}

Attributes attributes_of(const FusedActivation& activation) {
  Attributes out;
  const Clamp& clamp = activation.clamp;
  switch (activation.smooth) {
    case SmoothActivation::kNone:
      if (clamp.active()) out.name = has_relu(activation) ? "relu" : "hardtanh";
      if (clamp.active() && !has_relu(activation)) out.numbers = {at::Scalar(clamp.low), at::Scalar(clamp.high)};
      break;
    case SmoothActivation::kGelu:
    case SmoothActivation::kGeluTanh:
      out.name = "gelu";
      out.algorithm = activation.smooth == SmoothActivation::kGelu ? "none" : "tanh";
      break;
    case SmoothActivation::kSilu: out.name = "swish"; break;
    case SmoothActivation::kHardSwish: out.name = "hardswish"; break;
  }
  return out;
}

// (N, C, H, W), channels-last → (N·H·W, C), and the inverse for an image of x's size.
at::Tensor pixel_rows(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }
at::Tensor rows_as_pixels(const at::Tensor& rows, const at::Tensor& x) {
  return rows.view({x.size(0), x.size(2), x.size(3), rows.size(1)}).permute({0, 3, 1, 2});
}

at::Tensor by_channel(const at::Tensor& values) { return values.view({-1, 1, 1, 1}); }

// The quantization scale of each output channel's weights, (out,).
at::Tensor int8_scales(const at::Tensor& weight) {
  const double most = has_int8() ? 127 : 63;
  return at::amax(at::abs(weight.flatten(1)), {1}).div_(most).clamp_min_(1e-12);
}

}  // namespace

bool can_pack(const at::TensorOptions& weight) {
  const at::ScalarType type = c10::typeMetaToScalarType(weight.dtype());
  if (!weight.device().is_cpu() || !at::hasMKLDNN() || !at::globalContext().userEnabledMkldnn()) return false;
  return type == at::kFloat || (type == at::kBFloat16 && at::cpu::is_avx512_vnni_supported());
}

at::Tensor pack_weight(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input) {
  return call(
      "mkldnn::_reorder_convolution_weight", "",
      {weight, list(geometry.padding), list(geometry.stride), list(geometry.dilation), geometry.groups, input.vec()});
}

at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry) {
  return call("mkldnn::_convolution_pointwise", "",
              {x, packed, c10::IValue(), list(geometry.padding), list(geometry.stride), list(geometry.dilation),
               geometry.groups, "none", c10::List<std::optional<at::Scalar>>(), c10::IValue()});
}

at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                       const Epilogue& after) {
  const bool is_relu = has_relu(after.activation);
  const at::Tensor bias = after.bias.to(x.scalar_type());
  if (!after.residual.defined()) {
    const Attributes attributes = attributes_of(after.activation);
    return call("mkldnn::_convolution_pointwise", "",
                {x, packed, bias, list(geometry.padding), list(geometry.stride), list(geometry.dilation),
                 geometry.groups, attributes.name, attributes.numbers, attributes.algorithm});
  }
  if (after.activation.active() && !is_relu) {  // ATen's interface to oneDNN has no other activation after a sum
    const at::Tensor y = packed_conv(x, packed, geometry);
    apply_epilogue_(y, after, /*keeps=*/false);
    return y;
  }
  const c10::List<std::optional<at::Scalar>> no_numbers;
  return call("mkldnn::_convolution_pointwise", "binary",
              {x, after.residual, packed, bias, list(geometry.padding), list(geometry.stride), list(geometry.dilation),
               geometry.groups, "add", at::Scalar(1), is_relu ? c10::IValue("relu") : c10::IValue(), no_numbers,
               c10::IValue()});
}

at::Tensor packed_conv_(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                        const Epilogue& after) {
  const bool is_relu = has_relu(after.activation);
  if (after.activation.active() && !is_relu) {
    const at::Tensor y = packed_conv_(x, packed, geometry, {{}, after.residual, {}});
    apply_epilogue_(y, {after.bias, {}, after.activation}, /*keeps=*/false);
    return y;
  }
  const c10::IValue bias = after.bias.defined() ? c10::IValue(after.bias.to(x.scalar_type())) : c10::IValue();
  const c10::List<std::optional<at::Scalar>> no_numbers;
  return call("mkldnn::_convolution_pointwise_", "binary",
              {after.residual, x, packed, bias, list(geometry.padding), list(geometry.stride), list(geometry.dilation),
               geometry.groups, "add", at::Scalar(1), is_relu ? c10::IValue("relu") : c10::IValue(), no_numbers,
               c10::IValue()});
}

std::vector<std::int64_t> layout_shape(at::IntArrayRef weight, at::ScalarType type, const ConvGeometry& geometry,
                                       at::IntArrayRef input) {
  std::vector<std::int64_t> out{static_cast<std::int64_t>(type), geometry.groups};
  for (const Pair& pair : {geometry.stride, geometry.padding, geometry.dilation})
    out.insert(out.end(), pair.begin(), pair.end());
  for (const at::IntArrayRef sizes : {weight, input}) out.insert(out.end(), sizes.begin(), sizes.end());
  return out;
}

std::string packed_layout(const at::Tensor& packed) {
  const at::Tensor bytes = call("mkldnn::_get_mkldnn_serialized_md", "", {packed}).contiguous();
  return {static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()};
}

std::uint64_t packed_bytes(const at::Tensor& packed) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_nbytes", "");
  torch::jit::Stack stack{packed};
  op.callBoxed(stack);
  return static_cast<std::uint64_t>(stack.at(0).toInt());
}

bool has_int8() { return at::cpu::is_avx512_vnni_supported(); }

Int8Matrix::Int8Matrix(const at::Tensor& matrix)
    : scales_(int8_scales(matrix)), zeros_(at::zeros({matrix.size(0)}, at::kInt)),
      sums_(at::round(matrix / scales_.unsqueeze(1)).sum(1) * scales_) {}

at::Tensor Int8Matrix::pack(const at::Tensor& matrix, std::int64_t rows) const {
  const at::Tensor stored = at::round(matrix / scales_.unsqueeze(1)).to(at::kChar);
  return call("onednn::qlinear_prepack", "", {stored, std::vector<std::int64_t>{rows, matrix.size(1)}});
}

at::Tensor Int8Matrix::product(const at::Tensor& x, const at::Tensor& packed) const {
  const c10::List<std::optional<at::Scalar>> no_bounds;
  const auto type = static_cast<std::int64_t>(at::kFloat);
  return call("onednn::qlinear_pointwise", "",
              {x, /*x_scale=*/1.0, /*x_zero_point=*/std::int64_t{0}, packed, scales_, zeros_, c10::IValue(),
               /*output_scale=*/1.0, /*output_zero_point=*/std::int64_t{0}, type, "none", no_bounds, ""});
}

at::Tensor int8_rounding_error(const at::Tensor& weight) {
  const at::Tensor scales = by_channel(int8_scales(weight));
  return weight - at::round(weight / scales) * scales;
}

Int8Conv::Int8Conv(const at::Tensor& weight, const Quantization& x)
    : x_(x), sizes_(weight.sizes().vec()), scales_(int8_scales(weight)), zeros_(at::zeros({weight.size(0)}, at::kInt)) {
}

bool Int8Conv::is_product(const ConvGeometry& geometry) const {
  return sizes_[2] == 1 && sizes_[3] == 1 && geometry.stride == Pair{1, 1} && geometry.padding == Pair{0, 0} &&
         geometry.groups == 1;
}

at::Tensor Int8Conv::pack(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input) const {
  const at::Tensor stored = at::round(weight / by_channel(scales_)).to(at::kChar);
  if (is_product(geometry))
    return call("onednn::qlinear_prepack", "",
                {stored.flatten(1), std::vector<std::int64_t>{input[0] * input[2] * input[3], input[1]}});
  return call("onednn::qconv_prepack", "",
              {stored, scales_, x_.scale, x_.zero, list(geometry.stride), list(geometry.padding),
               list(geometry.dilation), geometry.groups, input.vec()});
}

bool Int8Conv::can_end_with(const FusedActivation& activation, bool has_residual) {
  switch (activation.smooth) {
    case SmoothActivation::kNone: return true;
    case SmoothActivation::kSilu:
    case SmoothActivation::kHardSwish: return !has_residual;
    case SmoothActivation::kGelu:
    case SmoothActivation::kGeluTanh: break;
  }
  return false;
}

at::Tensor Int8Conv::operator()(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                                const Output& y) const {
  const c10::List<std::optional<at::Scalar>> no_bounds;
  const auto type = static_cast<std::int64_t>(at::kByte);
  const bool is_smooth = y.activation.smooth != SmoothActivation::kNone;
  const char* const activation =
      is_smooth ? attributes_of(y.activation).name : (y.activation.clamp.low == 0 ? "relu" : "none");
  const Quantization &q = y.quantization, &q_sum = y.residual.quantization;
  at::Tensor sum = y.residual.stored;
  if (sum.defined() && !y.residual.overwrites) sum = sum.clone(at::MemoryFormat::ChannelsLast);  // ATen adds in place
  if (is_product(geometry)) {
    std::vector<c10::IValue> arguments{pixel_rows(x), x_.scale, x_.zero, packed, scales_, zeros_};
    if (sum.defined()) arguments.emplace_back(pixel_rows(sum));
    arguments.insert(arguments.end(), {y.bias, q.scale, q.zero, type});
    if (sum.defined()) arguments.insert(arguments.end(), {q_sum.scale, q_sum.zero, "sum", 1.0});
    arguments.insert(arguments.end(), {activation, no_bounds, ""});
    return rows_as_pixels(call("onednn::qlinear_pointwise", sum.defined() ? "binary" : "", std::move(arguments)), x);
  }
  std::vector<c10::IValue> arguments{x, x_.scale, x_.zero, packed, scales_, zeros_};
  if (sum.defined()) arguments.emplace_back(sum);
  arguments.insert(arguments.end(), {y.bias, list(geometry.stride), list(geometry.padding), list(geometry.dilation),
                                     geometry.groups, q.scale, q.zero, type});
  if (sum.defined()) arguments.insert(arguments.end(), {q_sum.scale, q_sum.zero, "sum", at::Scalar(1.0)});
  arguments.insert(arguments.end(), {activation, no_bounds, c10::IValue()});
  return call("onednn::qconv2d_pointwise", sum.defined() ? "binary" : "", std::move(arguments));
}

at::Tensor Int8Conv::operator()(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                                at::ScalarType type) const {
  const c10::List<std::optional<at::Scalar>> no_bounds;
  const double scale = 1;
  const std::int64_t zero = 0;
  if (is_product(geometry))
    return rows_as_pixels(call("onednn::qlinear_pointwise", "",
                               {pixel_rows(x), x_.scale, x_.zero, packed, scales_, zeros_, c10::IValue(), scale, zero,
                                static_cast<std::int64_t>(type), "none", no_bounds, ""}),
                          x);
  return call("onednn::qconv2d_pointwise", "",
              {x, x_.scale, x_.zero, packed, scales_, zeros_, c10::IValue(), list(geometry.stride),
               list(geometry.padding), list(geometry.dilation), geometry.groups, scale, zero,
               static_cast<std::int64_t>(type), "none", no_bounds, c10::IValue()});
}

}  // namespace lorikeet
