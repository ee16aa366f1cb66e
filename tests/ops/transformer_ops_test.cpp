#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "lorikeet/error.h"
#include "ops/noise.h"
#include "ops/op.h"

using namespace lorikeet;

namespace {

// softmax(q · kᵀ / √d) · v, computed separately for each head.
at::Tensor attention_by_hand(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  std::vector<at::Tensor> out;
  const std::int64_t size = q.size(2) / heads;
  for (std::int64_t h = 0; h < heads; ++h) {
    const auto head = [&](const at::Tensor& x) { return x.slice(2, h * size, (h + 1) * size); };
    const at::Tensor scores = at::matmul(head(q), head(k).transpose(1, 2)) / std::sqrt(static_cast<double>(size));
    out.push_back(at::matmul(at::softmax(scores, -1), head(v)));
  }
  return at::cat(out, 2);
}

}  // namespace

TEST_CASE("attention is what its formula says, from three inputs or from one that holds them") {
  const at::Tensor q = noise({2, 5, 6}, 1), k = noise({2, 4, 6}, 2), v = noise({2, 4, 6}, 3);
  for (const std::int64_t heads : {1, 2, 3}) {
    CHECK(close(apply(Attention{6, heads}, {}, {q, k, v}), attention_by_hand(q, k, v, heads)));
    const at::Tensor own_q = noise({2, 4, 6}, 4), packed = at::cat({own_q, k, v}, 2);
    CHECK(close(apply(Attention{6, heads}, {}, packed), attention_by_hand(own_q, k, v, heads)));
  }
  CHECK(apply(Attention{6, 2}, {}, {q, k, v}).is_contiguous());
}

TEST_CASE("the other operations of a transformer are what their formulas say") {
  const at::Tensor x = 2 * noise({2, 3, 6});
  const NodeTensors norm{{"weight", noise({6}, 2)}, {"bias", noise({6}, 3)}};
  const at::Tensor centred = x - x.mean({2}, /*keepdim=*/true);
  const at::Tensor deviation = at::sqrt(centred.square().mean({2}, /*keepdim=*/true) + 1e-3);
  CHECK(close(apply(LayerNorm{6, 1e-3}, norm, x), centred / deviation * norm.weight() + norm.bias()));

  CHECK(close(apply(Gelu{}, {}, x), x * (1 + at::erf(x / std::numbers::sqrt2)) / 2));
  const at::Tensor inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  CHECK(close(apply(Gelu(GeluForm::kTanh), {}, x), x * (1 + at::tanh(inner)) / 2));

  const at::Tensor image = noise({2, 4, 3, 3});
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor tokens = apply(PixelsToTokens{}, {}, image.contiguous(format));
    CHECK(tokens.sizes() == at::IntArrayRef({2, 9, 4}));
    CHECK(tokens.is_contiguous());
    CHECK(at::equal(tokens.select(1, 5), image.select(2, 1).select(2, 2)));  // row 1, column 2
  }

  const at::Tensor own = noise({1, 2, 6}, 4), more = apply(PrependTokens{2, 6}, {{"", own}}, x);
  CHECK(at::equal(more.slice(1, 0, 2), own.expand({2, 2, 6})));
  CHECK(at::equal(more.slice(1, 2), x));
  const at::Tensor places = noise({1, 3, 6}, 5);
  CHECK(at::equal(apply(PositionEmbedding{3, 6}, {{"", places}}, x), x + places));
  CHECK(at::equal(apply(TakeToken{2}, {}, x), x.select(1, 2)));
}

TEST_CASE("position embeddings are interpolated for another number of patches, not those of the tokens in front") {
  const at::Tensor own = noise({1, 2 + 9, 4}), x = at::zeros({3, 2 + 16, 4});
  const PositionEmbedding positions{11, 4, 2};
  const at::Tensor y = apply(positions, {{"", own}}, x);
  CHECK(at::equal(y.slice(1, 0, 2), own.slice(1, 0, 2).expand({3, 2, 4})));
  const at::Tensor grid = own.slice(1, 2).unflatten(1, {3, 3}).permute({0, 3, 1, 2});
  const at::Tensor larger = at::_upsample_bicubic2d_aa(grid, {4, 4}, false).permute({0, 2, 3, 1}).flatten(1, 2);
  CHECK(close(y.slice(1, 2), larger.expand({3, 16, 4})));
  CHECK((output_shape(positions, Shape{18, 4}, "pos_embed") == Shape{18, 4}));
  CHECK_THROWS_WITH_AS(output_shape(positions, Shape{19, 4}, "pos_embed"),
                       doctest::Contains("got 17 patches at pos_embed, expected 9, or a square of patches"),
                       UsageError);
}

TEST_CASE("the operations of today's convolutional networks are what their formulas say") {
  const at::Tensor x = 4 * noise({2, 3, 5, 4});
  CHECK(close(apply(Silu{}, {}, x), x * at::sigmoid(x)));
  CHECK(close(apply(Sigmoid{}, {}, x), 1 / (1 + at::exp(-x))));
  const at::Tensor hard = at::clamp(x + 3, 0, 6) / 6;
  CHECK(close(apply(HardSigmoid{}, {}, x), hard));
  CHECK(close(apply(HardSwish{}, {}, x), x * hard));
  const at::Tensor gate = noise({2, 3, 1, 1}, 2);
  CHECK(at::equal(apply(Multiply{}, {}, {x, gate}), x * gate));
  const at::Tensor gamma = noise({3}, 3);
  CHECK(at::equal(apply(LayerScale{3, true}, {{"", gamma.view({3, 1, 1})}}, x), x * gamma.view({1, 3, 1, 1})));
  const at::Tensor pixels = x.permute({0, 2, 3, 1});
  CHECK(at::equal(apply(LayerScale{3, false}, {{"", gamma}}, pixels), pixels * gamma));
  CHECK(at::equal(apply(channels_last_axes(), {}, x), pixels));
  CHECK(at::equal(apply(channels_first_axes(), {}, pixels), x));
  CHECK(at::equal(apply(Concat{1}, {}, {x, gate.expand({2, 3, 5, 4})}).slice(1, 3), gate.expand({2, 3, 5, 4})));
  CHECK(close(apply(GlobalAvgPool{true}, {}, x), x.mean({2, 3}, true)));
  CHECK(close(apply(MeanTokens{1}, {}, noise({2, 4, 3})), noise({2, 4, 3}).slice(1, 1).mean({1})));

  const NodeTensors norm{{"weight", gamma}, {"bias", noise({3}, 4)}};
  const at::Tensor normed = at::layer_norm(pixels, {3}, norm.weight(), norm.bias(), 1e-6);
  CHECK(close(apply(LayerNorm2d{3}, norm, x), normed.permute({0, 3, 1, 2})));
  const at::Tensor norms = at::sqrt(pixels.square().sum({1, 2}, true));
  const at::Tensor response = pixels * norms / (norms.mean({3}, true) + 1e-6);
  CHECK(close(apply(GlobalResponseNorm{3}, norm, pixels), pixels + norm.weight() * response + norm.bias()));

  // A window that the image does not fill counts the pixels that it has.
  const at::Tensor pooled = apply(AvgPool2d{.ceil_mode = true}, {}, x);
  CHECK(pooled.sizes() == at::IntArrayRef({2, 3, 3, 2}));
  CHECK(close(pooled.select(2, 2).select(2, 1), x.select(2, 4).slice(2, 2, 4).mean({2})));
  CHECK(apply(AvgPool2d{}, {}, x).sizes() == at::IntArrayRef({2, 3, 2, 2}));
}

TEST_CASE("shapes of a transformer's operations are those that ATen computes") {
  const auto check = [](const Op& op, const std::vector<at::Tensor>& inputs) {
    CAPTURE(describe(op));
    NodeTensors tensors;
    for (const auto& parameter : parameters_of(op)) tensors.set(parameter.name, noise(parameter.shape));
    std::vector<Shape> shapes;
    for (const at::Tensor& input : inputs) shapes.push_back(input.sizes().slice(1).vec());
    CHECK((apply(op, tensors, inputs).sizes().slice(1) == at::IntArrayRef(output_shape(op, shapes, "x"))));
  };
  const at::Tensor x = noise({2, 3, 6});
  for (const Op& op :
       {Op(LayerNorm{6}), Op(Gelu{}), Op(Linear{6, 4}), Op(PrependTokens{2, 6}), Op(PositionEmbedding{3, 6}),
        Op(TakeToken{}), Op(MeanTokens{1}), Op(LayerScale{6, false}), Op(UnusedParameter{Shape{2}}), Op(Silu{})})
    check(op, {x});
  const at::Tensor image = noise({2, 3, 5, 4});
  for (const Op& op : {Op(LayerNorm2d{3}), Op(AvgPool2d{}), Op(AvgPool2d{.ceil_mode = true}), Op(GlobalAvgPool{true}),
                       Op(channels_last_axes()), Op(LayerScale{3, true}), Op(Concat{2})})
    check(op, {image});
  check(GlobalResponseNorm{4}, {image});
  check(Multiply{}, {image, noise({2, 3, 1, 1})});
  check(Concat{1}, {image, noise({2, 2, 5, 4})});
  CHECK_THROWS_AS(output_shape(Concat{1}, {{{3, 5, 4}, {3, 4, 4}}}, "cat"), UsageError);
  check(Attention{6, 2}, {noise({2, 5, 6}), x, x});
  check(Attention{2, 2}, {x});
  check(PixelsToTokens{}, {noise({2, 4, 3, 3})});
  CHECK_THROWS_WITH_AS(output_shape(PixelsToTokens{}, Shape{6, 2, 8}, "tokens"),
                       "image size: got 2 x 8 patches at tokens, expected a square of patches. Use square images.",
                       UsageError);
  CHECK_THROWS_WITH_AS(output_shape(PositionEmbedding{5, 6}, Shape{3, 6}, "pos_embed"),
                       "image size: got 3 patches at pos_embed, expected 5, or a square of patches. Use square images.",
                       UsageError);
}

TEST_CASE("multiply-adds and kept bytes of a transformer's operations are counted as by hand") {
  const Shape tokens{5, 6}, packed{5, 18};
  CHECK(macs(Attention{6, 2}, {packed, tokens}) == 2 * 5 * 5 * 6);
  const GradientOptions frozen{4, false}, learned{4, true};
  CHECK(kept_bytes(Attention{6, 2}, {packed, tokens}, frozen) == 4 * (5 * 18 + 5 * 6 + 5 * 2));
  CHECK(kept_bytes(LayerNorm{6}, {tokens, tokens}, frozen) == 4 * (5 * 6 + 2 * 5));
  CHECK(kept_bytes(Gelu{}, {tokens, tokens}, frozen) == 4 * 5 * 6);
  CHECK(kept_bytes(Linear{6, 18}, {tokens, packed}, frozen) == 0);
  CHECK(kept_bytes(Linear{6, 18}, {tokens, packed}, learned) == 4 * 5 * 6);
  CHECK(kept_bytes(Add{}, {{tokens, tokens}, tokens}, frozen) == 0);
}
