#include "kernels/attention.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

at::Tensor token_noise(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape).normal_(0, 1.5, generator);
}

std::vector<at::Tensor> attention_gradients(const at::Tensor& y, std::vector<at::Tensor>& inputs) {
  y.backward(token_noise(y.sizes(), 9));
  std::vector<at::Tensor> out;
  for (at::Tensor& input : inputs) {
    out.push_back(input.grad().clone());
    input.mutable_grad() = at::Tensor();
  }
  return out;
}

struct AttentionCase {
  std::int64_t images, queries, keys, heads, width;
};

}  // namespace

TEST_CASE("attention and its gradients are ATen's, of one joined input and of three") {
  for (const AttentionCase& c :
       {AttentionCase{2, 197, 197, 3, 64}, AttentionCase{3, 17, 17, 2, 16}, AttentionCase{1, 5, 5, 1, 32},
        AttentionCase{2, 13, 50, 2, 64}, AttentionCase{1, 257, 257, 2, 48}, AttentionCase{2, 1, 1, 2, 16}}) {
    CAPTURE(c.queries);
    CAPTURE(c.keys);
    const Attention op{c.heads * c.width, c.heads};
    for (const bool is_joined : {true, false}) {
      if (is_joined && c.queries != c.keys) continue;
      std::vector<at::Tensor> x;
      if (is_joined) {
        x = {token_noise({c.images, c.keys, 3 * op.features}, 1)};
      } else {
        x = {token_noise({c.images, c.queries, op.features}, 1), token_noise({c.images, c.keys, op.features}, 2),
             token_noise({c.images, c.keys, op.features}, 3)};
      }
      for (at::Tensor& tensor : x) tensor.requires_grad_();
      REQUIRE(has_attention(op, x));
      const at::Tensor y = attention(op, x, std::nullopt);
      const at::Tensor expected = op.forward({}, x);
      CHECK(relative(y.detach(), expected.detach()) < 1e-5);
      const auto own = attention_gradients(y, x), reference = attention_gradients(expected, x);
      for (std::size_t i = 0; i < own.size(); ++i)
        CHECK((own[i] - reference[i]).norm().item<double>() < 1e-5 * reference[i].norm().item<double>() + 1e-5);
    }
  }
}

TEST_CASE("attention of one query is that row of all") {
  const Attention op{64, 2};
  std::vector<at::Tensor> joined{token_noise({2, 21, 192}, 1).requires_grad_()};
  const at::Tensor y = attention(op, joined, 3);
  const at::Tensor expected = op.forward({}, joined).narrow(1, 3, 1);
  CHECK(relative(y.detach(), expected.detach()) < 1e-5);
  CHECK(relative(attention_gradients(y, joined)[0], attention_gradients(expected, joined)[0]) < 1e-5);

  std::vector<at::Tensor> split;
  for (const at::Tensor& third : joined[0].detach().chunk(3, -1)) split.push_back(third.clone().requires_grad_());
  split[1].requires_grad_(false);  // a frozen key
  const at::Tensor z = attention(op, split, 3);
  CHECK(at::equal(z, y));
  z.sum().backward();
  CHECK(split[0].grad().defined());
  CHECK_FALSE(split[1].grad().defined());
  CHECK(split[2].grad().defined());
}

TEST_CASE("groups of tokens do not see each other") {
  const Attention op{32, 2};
  std::vector<at::Tensor> joined{token_noise({2, 3, 7, 96}, 1).requires_grad_()};
  REQUIRE(has_attention(op, joined));
  const at::Tensor y = attention(op, joined, std::nullopt), expected = op.forward({}, joined);
  CHECK(y.sizes() == at::IntArrayRef({2, 3, 7, 32}));
  CHECK(relative(y.detach(), expected.detach()) < 1e-5);
  CHECK(relative(attention_gradients(y, joined)[0], attention_gradients(expected, joined)[0]) < 1e-5);
  CHECK(at::equal(attention(op, {joined[0].select(1, 2)}, std::nullopt), y.select(1, 2)));
  CHECK(at::equal(attention(op, joined[0].chunk(3, -1), std::nullopt), y));
  CHECK(at::equal(attention(op, joined, 4), y.narrow(2, 4, 1)));
}

TEST_CASE("a NaN comes through attention") {
  const Attention op{32, 2};
  at::Tensor x = token_noise({1, 7, 96}, 1);
  x[0][3][0] = std::numeric_limits<float>::quiet_NaN();  // of a query
  CHECK(at::isnan(attention(op, {x}, std::nullopt)).any().item<bool>());
  CHECK_FALSE(has_attention(op, {x.to(at::kBFloat16)}));
}
