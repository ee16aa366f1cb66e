#include "ops/window_attention.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "ops/noise.h"
#include "ops/op.h"

using namespace lorikeet;

namespace {

// Attention among the tokens of an image, each pair of them with its own bias or none: pairs that no window joins see
// each other by e^(−100). Tokens (heads, H · W, d), biases (heads, H · W, H · W).
at::Tensor attention_among(const at::Tensor& scores, const at::Tensor& bias, const at::Tensor& joined,
                           const at::Tensor& v) {
  return at::matmul(at::softmax(scores + bias + at::where(joined, 0.0, -1e6), -1), v);
}

// Whether two tokens of an axis share a window and were neighbours before the roll.
bool share(std::int64_t a, std::int64_t b, std::int64_t size, std::int64_t window, std::int64_t shift) {
  const auto place = [&](std::int64_t token) { return (token - shift + size) % size; };
  if (place(a) / window != place(b) / window) return false;
  return (a < shift) == (b < shift) || size == window;
}

struct Case {
  std::int64_t height, width, window, shift;
};

}  // namespace

TEST_CASE("windows of any size and shift go back to where they came from") {
  for (const bool shrinks : {false, true}) {
    for (const bool rolls_first : {false, true}) {
      for (const auto& [height, width, window, shift] :
           {Case{6, 9, 3, 1}, Case{7, 5, 3, 1}, Case{4, 4, 4, 2}, Case{3, 8, 4, 2}, Case{5, 2, 7, 3}}) {
        CAPTURE(height);
        CAPTURE(width);
        const WindowPartition partition{window, shift, shrinks, rolls_first};
        const at::Tensor x = noise({2, height, width, 3});
        const at::Tensor windows = apply(partition, {}, x);
        CHECK((windows.sizes().slice(1) == at::IntArrayRef(output_shape(partition, Shape{height, width, 3}, "x"))));
        CHECK(windows.size(3) == (shrinks ? std::min(window, height) : window));
        CHECK(windows.sum().item<double>() == doctest::Approx(x.sum().item<double>()));
        const at::Tensor back = apply(WindowReverse{partition}, {}, {windows, x.slice(3, 0, 1)});
        CHECK(at::equal(back, x));
      }
    }
  }
  // Rolled by one to the top left; the filling goes to the bottom right of the image, or of the rolled one.
  const at::Tensor x = at::arange(1, 4, at::kDouble).view({1, 1, 3, 1}).expand({1, 4, 3, 1});
  const auto first_row = [&](bool rolls_first) {
    return apply(WindowPartition{2, 1, false, rolls_first}, {}, x).select(1, 0).select(2, 0).flatten();
  };
  CHECK(at::equal(first_row(true), at::tensor({2.0, 3.0, 1.0, 0.0})));
  CHECK(at::equal(first_row(false), at::tensor({2.0, 3.0, 0.0, 1.0})));
}

TEST_CASE("attention in windows is attention among the tokens that a window joins") {
  constexpr std::int64_t kHeads = 2, kSize = 3, kFeatures = kHeads * kSize;
  for (const auto& [height, width, window, shift] :
       {Case{6, 6, 3, 0}, Case{6, 6, 3, 1}, Case{4, 8, 4, 2}, Case{8, 4, 4, 2}, Case{3, 3, 3, 1}}) {
    CAPTURE(height);
    CAPTURE(shift);
    const std::int64_t tokens = height * width, side = 2 * window - 1;
    const at::Tensor packed = noise({2, height, width, 3 * kFeatures}, 2);
    const at::Tensor table = noise({side * side, kHeads}, 3);
    at::Tensor joined = at::zeros({tokens, tokens}, at::kBool), index = at::zeros({tokens, tokens}, at::kLong);
    for (std::int64_t a = 0; a < tokens; ++a) {
      for (std::int64_t b = 0; b < tokens; ++b) {
        const std::int64_t ay = a / width, ax = a % width, by = b / width, bx = b % width;
        if (!share(ay, by, height, window, height > window ? shift : 0)) continue;
        if (!share(ax, bx, width, window, width > window ? shift : 0)) continue;
        joined[a][b] = true;
        index[a][b] = (ay - by + window - 1) * side + ax - bx + window - 1;
      }
    }
    const at::Tensor bias = table.index_select(0, index.flatten()).view({tokens, tokens, kHeads}).permute({2, 0, 1});
    const at::Tensor own_bias = noise({3 * kFeatures}, 4);
    const auto split = [&](const at::Tensor& x) {  // each (N, heads, tokens, d)
      return x.view({2, tokens, 3, kHeads, kSize}).permute({2, 0, 3, 1, 4});
    };
    const auto image = [&](const at::Tensor& y) { return y.transpose(1, 2).reshape({2, height, width, kFeatures}); };

    const WindowPartition partition{window, shift};
    const WindowReverse reverse{partition};
    const auto attend = [&](const WindowAttention& op, const NodeTensors& tensors, std::vector<at::Tensor> inputs) {
      inputs[0] = apply(partition, {}, inputs[0]);
      return apply(reverse, {}, {apply(op, tensors, inputs), packed});
    };
    const at::Tensor qkv = split(packed);
    const at::Tensor scores = at::matmul(qkv[0], qkv[1].transpose(-2, -1)) / std::sqrt(static_cast<double>(kSize));
    const WindowAttention scaled{kFeatures, kHeads, window, shift};
    const NodeTensors own{{"relative_position_bias_table", table}};
    CHECK(close(attend(scaled, own, {packed}), image(attention_among(scores, bias, joined, qkv[2]))));
    // The same from three inputs, and with a gradient to the table, for which ATen takes another way.
    std::vector<at::Tensor> three = packed.chunk(3, -1);
    for (at::Tensor& one : three) one = apply(partition, {}, one);
    const at::Tensor separate = apply(scaled, own, three), together = attend(scaled, own, {packed});
    CHECK(close(apply(reverse, {}, {separate, packed}), together));
    const NodeTensors learned{{"relative_position_bias_table", table.clone().set_requires_grad(true)}};
    CHECK(close(attend(scaled, learned, {packed}), together));

    at::Tensor used = own_bias.clone();
    used.slice(0, kFeatures, 2 * kFeatures).zero_();
    const at::Tensor biased = split(packed + used);
    const auto unit = [](const at::Tensor& x) { return x / at::sqrt(x.square().sum({-1}, true)); };
    const at::Tensor factors = at::tensor({1.5, 2.0}, at::kDouble).view({kHeads, 1, 1});
    const at::Tensor cosines = at::matmul(unit(biased[0]), unit(biased[1]).transpose(-2, -1));
    const at::Tensor expected = attention_among(cosines * at::exp(factors), 16 * at::sigmoid(bias), joined, biased[2]);
    const WindowAttention cosine{kFeatures, kHeads, window, shift, true};
    const at::Tensor rows = table.expand({2, side * side, kHeads});
    CHECK(close(attend(cosine, {{"logit_scale", factors}, {"qkv.bias", own_bias}}, {packed, rows}), image(expected)));
  }
}

TEST_CASE("the biases of smaller windows are those that timm interpolates") {
  // timm.layers.resize_rel_pos_bias_table of the table i² mod 7, from windows of 7 × 7 and of 3 × 3.
  const auto biases = [](std::int64_t window, std::int64_t height, std::int64_t width) {
    const std::int64_t rows = (2 * window - 1) * (2 * window - 1);
    const at::Tensor table = (at::arange(rows, at::kFloat).square() % 7).view({rows, 1});
    return WindowAttention{1, 1, window}.bias(table, height, width);
  };
  const at::Tensor of_7 =
      at::tensor({0.9900980591773987F, 3.97029447555542F, 2.019803762435913F, 0.0F, 1.0F, 4.0F, 1.0F, 0.0F, 1.0F, 4.0F,
                  1.0F, 0.0F, 2.019803762435913F, 3.97029447555542F, 0.9900980591773987F});
  CHECK(at::allclose(biases(7, 3, 2).flatten(), of_7.index_select(0, relative_position_index(3, 2)), 1e-5, 1e-5));
  const at::Tensor of_3 = at::tensor({1.0F, 0.0F, 1.0F, 2.0F, 4.0F, 1.0F, 4.0F, 2.0F, 2.0F});
  CHECK(at::allclose(biases(3, 2, 2).flatten(), of_3.index_select(0, relative_position_index(2, 2)), 1e-5, 1e-5));
  CHECK((relative_position_index(1, 2).equal(at::tensor({1, 0, 2, 1}, at::kLong))));
  CHECK((relative_position_index(2, 2).slice(0, 0, 4).equal(at::tensor({4, 3, 1, 0}, at::kLong))));
}

TEST_CASE("merged patches are those of 2 x 2 tokens, column by column") {
  const at::Tensor x = noise({2, 4, 6, 3});
  const auto part = [&](std::int64_t row, std::int64_t column) { return x.slice(1, row, 4, 2).slice(2, column, 6, 2); };
  CHECK(at::equal(apply(MergePatches{}, {}, x), at::cat({part(0, 0), part(1, 0), part(0, 1), part(1, 1)}, -1)));
  const at::Tensor odd = apply(MergePatches{}, {}, x.slice(1, 0, 3).slice(2, 0, 5));
  CHECK((odd.sizes().slice(1) == at::IntArrayRef(output_shape(MergePatches{}, Shape{3, 5, 3}, "x"))));
  CHECK(at::equal(odd.select(1, 1).select(1, 2).slice(1, 0, 3), x.select(1, 2).select(1, 4)));
  CHECK(odd.select(1, 1).select(1, 2).slice(1, 3).abs().max().item<double>() == 0);
}

TEST_CASE("coordinates, costs and buffers of attention in windows") {
  const at::Tensor table = RelativeCoordinates{3}.table();
  CHECK(table.sizes() == at::IntArrayRef({1, 5, 5, 2}));
  CHECK(table[0][0][3][0].item<double>() == doctest::Approx(-std::log2(9) / 3));
  CHECK(table[0][0][3][1].item<double>() == doctest::Approx(std::log2(5) / 3));
  CHECK(close(WindowAttention::scale(at::tensor({1.0, 7.0}, at::kDouble)),
              at::tensor({std::exp(1.0), 100.0}, at::kDouble)));
  CHECK(apply(RelativeCoordinates{3}, {}, noise({4, 2})).sizes() == at::IntArrayRef({4, 25, 2}));

  const Shape windows{2, 3, 2, 2, 6}, packed{2, 3, 2, 2, 18};
  const WindowAttention op{6, 2, 2, 1};
  CHECK(macs(op, {packed, windows}) == 2 * 24 * 4 * 6);
  CHECK(kept_bytes(op, {packed, windows}, {4, false}) == 4 * (24 * 18 + 24 * 6 + 24 * 2));
  CHECK(kept_bytes(op, {packed, windows}, {4, true}) == 4 * (24 * 18 + 24 * 2 * 4));
  CHECK(describe(op) == "WindowAttention(6, heads=2, window=2, shift=1)");
  CHECK(op.fixed_buffers().empty());
  const auto names = [](const WindowAttention& attention) {
    std::string out;
    for (const auto& [name, tensor] : attention.fixed_buffers()) out += name + " ";
    return out;
  };
  CHECK(names({6, 2, 2, 1, false, true}) == "relative_position_index ");
  CHECK(names({6, 2, 2, 1, true, true}) == "relative_coords_table relative_position_index ");
}
