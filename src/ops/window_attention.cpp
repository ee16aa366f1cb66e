#include "ops/window_attention.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lorikeet {
namespace {

// Along one axis of an image.
struct WindowAxis {
  std::int64_t window;
  std::int64_t count;
  std::int64_t shift;
  std::int64_t padding;
};

WindowAxis axis_of(const WindowPartition& partition, std::int64_t size) {
  const std::int64_t window = partition.shrinks ? std::min(partition.window, size) : partition.window;
  const std::int64_t count = (size + window - 1) / window;
  return {window, count, count > 1 ? partition.shift : 0, count * window - size};
}

// The region of each token of an axis, within which tokens were neighbours before the roll: 0 in the windows before the
// last, 1 and 2 in the two parts of the last one.
at::Tensor regions(std::int64_t count, std::int64_t window, std::int64_t shift) {
  const at::Tensor places = at::arange(count * window, at::kLong);
  if (count == 1) return at::zeros_like(places);
  return (places >= (count - 1) * window).to(at::kLong) + (places >= count * window - shift).to(at::kLong);
}

// The matrix (to, from) that interpolates `from` values, whose distances from the middle are the sums of a geometric
// series, at `to` integer places, linearly, as timm's resize_rel_pos_bias_table does.
at::Tensor interpolation(std::int64_t from, std::int64_t to) {
  const std::int64_t half = from / 2, to_half = to / 2;
  double low = 1.01, high = 1.5, ratio = low;
  while (high - low > 1e-6) {
    ratio = (low + high) / 2;
    const double reach = (1 - std::pow(ratio, half)) / (1 - ratio);
    (reach > static_cast<double>(to_half) ? high : low) = ratio;
  }
  std::vector<double> places(static_cast<std::size_t>(from), 0.0);
  double place = 1;
  for (std::int64_t i = 1; i <= half; ++i) {
    const double rounded = static_cast<float>(place);  // timm's are float32
    places[static_cast<std::size_t>(half + i)] = rounded;
    places[static_cast<std::size_t>(half - i)] = -rounded;
    place += std::pow(ratio, i);
  }
  at::Tensor weights = at::zeros({to, from}, at::kFloat);
  auto weight = weights.accessor<float, 2>();
  for (std::int64_t row = 0; row < to; ++row) {
    const auto at = static_cast<double>(row - to_half);
    const auto above = std::lower_bound(places.begin(), places.end(), at);
    const std::int64_t right = std::min(std::int64_t{above - places.begin()}, from - 1);
    const std::int64_t left = std::max(right - 1, std::int64_t{0});
    const double before = std::max(at - places[static_cast<std::size_t>(left)], 0.0);
    const double after = std::max(places[static_cast<std::size_t>(right)] - at, 0.0);
    const double share = before + after > 0 ? before / (before + after) : 1.0;
    weight[row][left] += static_cast<float>(1 - share);
    weight[row][right] += static_cast<float>(share);
  }
  return weights;
}

// Of windows (N, rows, columns, height, width, C): (N, rows · columns, area, heads, C / heads), a view.
at::Tensor split_windows(const at::Tensor& x, std::int64_t heads) {
  return x.flatten(3, 4).flatten(1, 2).unflatten(-1, {heads, -1});
}

at::Tensor unit_vectors(const at::Tensor& x) {
  return x / at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, /*keepdim=*/true).clamp_min(1e-12);
}

std::int64_t area_of(const Shape& windows) { return windows[2] * windows[3]; }

}  // namespace

std::string WindowPartition::arguments() const { return cat("(window=", window, ", shift=", shift, ")"); }

Shape WindowPartition::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  const WindowAxis rows = axis_of(*this, inputs[0][0]), columns = axis_of(*this, inputs[0][1]);
  return {rows.count, columns.count, rows.window, columns.window, inputs[0][2]};
}

at::Tensor WindowPartition::forward(const NodeTensors&, at::TensorList inputs) const {
  at::Tensor x = inputs[0];
  const WindowAxis rows = axis_of(*this, x.size(1)), columns = axis_of(*this, x.size(2));
  const bool is_rolled = rows.shift > 0 || columns.shift > 0;
  const auto roll = [&] {
    if (is_rolled) x = at::roll(x, {-rows.shift, -columns.shift}, {1, 2});
  };
  if (rolls_first) roll();
  if (rows.padding > 0 || columns.padding > 0) x = at::constant_pad_nd(x, {0, 0, 0, columns.padding, 0, rows.padding});
  if (!rolls_first) roll();
  x = x.unflatten(2, {columns.count, columns.window}).unflatten(1, {rows.count, rows.window});
  return x.transpose(2, 3).contiguous();
}

at::Tensor WindowReverse::forward(const NodeTensors&, at::TensorList inputs) const {
  const std::int64_t height = inputs[1].size(1), width = inputs[1].size(2);
  const WindowAxis rows = axis_of(partition, height), columns = axis_of(partition, width);
  at::Tensor x = inputs[0].transpose(2, 3).flatten(3, 4).flatten(1, 2);
  const bool is_rolled = rows.shift > 0 || columns.shift > 0;
  const auto roll = [&] {
    if (is_rolled) x = at::roll(x, {rows.shift, columns.shift}, {1, 2});
  };
  if (!partition.rolls_first) roll();
  if (rows.padding > 0 || columns.padding > 0) x = x.slice(1, 0, height).slice(2, 0, width);
  if (partition.rolls_first) roll();
  return x.contiguous();
}

std::string WindowAttention::arguments() const {
  return cat("(", features, ", heads=", heads, ", window=", window, ", shift=", shift, cosine ? ", cosine=True)" : ")");
}

std::vector<OpParameter> WindowAttention::parameters() const {
  if (cosine) return {{"logit_scale", {heads, 1, 1}}, {"qkv.bias", {3 * features}}};
  return {{"relative_position_bias_table", {(2 * window - 1) * (2 * window - 1), heads}}};
}

Shape WindowAttention::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  Shape out = inputs[0];
  out.back() = features;
  return out;
}

std::int64_t WindowAttention::macs(const OpShapes& shapes) const {
  return 2 * static_cast<std::int64_t>(element_count(shapes.output)) * area_of(shapes.output);
}

std::uint64_t WindowAttention::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  const std::uint64_t output = element_count(shapes.output);
  const std::uint64_t rows = output / static_cast<std::uint64_t>(features) * static_cast<std::uint64_t>(heads);
  const std::uint64_t weights = rows * static_cast<std::uint64_t>(area_of(shapes.output));
  const std::uint64_t qkv = 3 * output;
  // The queries, keys and values, the norms of two of them, these two normalised, the weights, and the values in the
  // layout that bmm needs.
  if (cosine) return (2 * qkv + 2 * rows + weights) * gradient.element_size;
  // ATen's fused kernel keeps no weights, but gives no gradient to the biases.
  if (gradient.learned) return (qkv + weights) * gradient.element_size;
  return (qkv + output) * gradient.element_size + rows * sizeof(float);  // and the logarithm of each row's sum
}

at::Tensor WindowAttention::bias(const at::Tensor& table, std::int64_t height, std::int64_t width) const {
  at::Tensor rows = table;
  if (height != window || width != window) {
    const std::int64_t from = 2 * window - 1, down = 2 * height - 1, across = 2 * width - 1;
    const at::Tensor grid = table.to(at::promote_types(table.scalar_type(), at::kFloat)).view({from, from * heads});
    const auto along = [&](std::int64_t to) { return interpolation(from, to).to(grid.options()); };
    const at::Tensor columns = at::matmul(along(down), grid).view({down, from, heads});
    rows = at::matmul(along(across), columns).view({down * across, heads}).to(table.scalar_type());
  }
  const std::int64_t area = height * width;
  const at::Tensor index = relative_position_index(height, width).to(table.device());
  return rows.index_select(0, index).view({area, area, heads}).permute({2, 0, 1}).contiguous();
}

at::Tensor WindowAttention::mask(at::IntArrayRef windows) const {
  const at::IntArrayRef sizes = windows.size() == 6 ? windows.slice(1) : windows;
  const std::int64_t rows = sizes[0], columns = sizes[1], height = sizes[2], width = sizes[3];
  if (shift == 0 || (rows == 1 && columns == 1)) return {};
  const at::Tensor image = 3 * regions(rows, height, shift).view({rows, 1, height, 1}) +
                           regions(columns, width, shift).view({1, columns, 1, width});
  const at::Tensor region = image.reshape({rows * columns, height * width});
  return (region.unsqueeze(1) != region.unsqueeze(2)).to(at::kFloat) * -100.0;
}

at::Tensor WindowAttention::used_bias(const at::Tensor& own) const {
  return at::cat({own.slice(0, 0, features), at::zeros({features}, own.options()), own.slice(0, 2 * features)});
}

at::Tensor WindowAttention::scale(const at::Tensor& logit_scale) {
  return logit_scale.clamp_max(std::log(100.0)).exp();
}

std::vector<NodeTensors::Entry> WindowAttention::fixed_buffers() const {
  if (!has_buffers) return {};
  std::vector<NodeTensors::Entry> out;
  if (cosine) out.emplace_back("relative_coords_table", RelativeCoordinates{window}.table());
  out.emplace_back("relative_position_index", relative_position_index(window, window));
  return out;
}

at::Tensor WindowAttention::forward(const NodeTensors& tensors, at::TensorList inputs) const {
  const at::Tensor& x = inputs[0];
  const std::int64_t windows = x.size(1) * x.size(2), height = x.size(3), width = x.size(4);
  at::Tensor hidden = mask(x.sizes());
  if (hidden.defined()) hidden = hidden.to(x.options());
  const std::vector<at::Tensor> qkv = inputs.size() == 3 ? inputs.vec()
                                      : cosine           ? (x + used_bias(tensors["qkv.bias"])).chunk(3, -1)
                                                         : x.chunk(3, -1);
  std::vector<at::Tensor> parts;  // each (N, windows, area, heads, features / heads)
  for (const at::Tensor& part : qkv) parts.push_back(split_windows(part, heads));
  Shape shape = x.sizes().vec();
  shape.back() = features;

  if (cosine) {
    const std::int64_t area = height * width;
    const at::Tensor index = relative_position_index(height, width).to(x.device());
    const at::Tensor rows = 16 * at::sigmoid(inputs[1].index_select(1, index));  // (N, area · area, heads)
    at::Tensor biases = rows.unflatten(1, {1, area, area}).permute({0, 1, 4, 2, 3});
    if (hidden.defined()) biases = biases + hidden.unsqueeze(1);
    const at::Tensor q = unit_vectors(parts[0].transpose(2, 3)) * scale(tensors["logit_scale"]);
    const at::Tensor k = unit_vectors(parts[1].transpose(2, 3));
    const at::Tensor weights = at::softmax(at::matmul(q, k.transpose(-2, -1)) + biases, -1);
    return at::matmul(weights, parts[2].transpose(2, 3)).transpose(2, 3).reshape(shape);
  }

  at::Tensor biases = bias(tensors["relative_position_bias_table"], height, width).to(x.scalar_type());
  // ATen's kernel takes one bias for each head. Where windows have masks, each head of each window counts as one.
  if (hidden.defined()) biases = (biases + hidden.unsqueeze(1)).flatten(0, 1);
  const auto heads_first = [&](const at::Tensor& part) {
    return hidden.defined() ? part.transpose(2, 3).flatten(1, 2) : part.flatten(0, 1).transpose(1, 2);
  };
  const at::Tensor y = at::scaled_dot_product_attention(heads_first(parts[0]), heads_first(parts[1]),
                                                        heads_first(parts[2]), biases.unsqueeze(0));
  if (!hidden.defined()) return y.transpose(1, 2).reshape(shape);
  return y.unflatten(1, {windows, heads}).transpose(2, 3).reshape(shape);
}

at::Tensor relative_position_index(std::int64_t height, std::int64_t width) {
  const at::Tensor down = at::arange(height, at::kLong), across = at::arange(width, at::kLong);
  const at::Tensor row = (down.view({-1, 1}) - down + height - 1).view({height, 1, height, 1});
  const at::Tensor column = (across.view({-1, 1}) - across + width - 1).view({1, width, 1, width});
  return (row * (2 * width - 1) + column).flatten();
}

std::string RelativeCoordinates::arguments() const { return cat("(window=", window, ")"); }

at::Tensor RelativeCoordinates::table() const {
  const at::Tensor axis = at::arange(1 - window, window, at::kFloat) / static_cast<double>(window - 1) * 8;
  const at::Tensor places = at::sign(axis) * at::log2(at::abs(axis) + 1) / 3.0;
  const std::int64_t side = 2 * window - 1;
  return at::stack({places.view({side, 1}).expand({side, side}), places.expand({side, side})}, -1).unsqueeze(0);
}

at::Tensor RelativeCoordinates::forward(const NodeTensors&, at::TensorList x) const {
  return table().to(x[0].options()).flatten(1, 2).expand({x[0].size(0), -1, -1}).contiguous();
}

at::Tensor MergePatches::forward(const NodeTensors&, at::TensorList inputs) {
  at::Tensor x = inputs[0];
  const std::int64_t odd_rows = x.size(1) % 2, odd_columns = x.size(2) % 2;
  if (odd_rows + odd_columns > 0) x = at::constant_pad_nd(x, {0, 0, 0, odd_columns, 0, odd_rows});
  return x.unflatten(2, {-1, 2}).unflatten(1, {-1, 2}).permute({0, 1, 3, 4, 2, 5}).flatten(3);
}

}  // namespace lorikeet
