#include "kernels/quantization.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

at::Tensor normal_image(at::IntArrayRef shape) {
  at::Generator generator = seeded(1);
  return at::empty(shape).normal_(0, 1, generator).contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace

TEST_CASE("stored values are the nearest, clipped at the ends of the range") {
  const Quantization q{0.01, 100};  // −1 to 1.55
  for (const std::int64_t width : {1, 7, 300}) {
    const at::Tensor x = normal_image({2, 5, 11, width});
    const at::Tensor stored = quantized(x, q);
    CHECK(stored.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(at::equal(quantized(x.contiguous(), q), stored));
    const at::Tensor real = dequantized(stored, q, at::kFloat);
    CHECK(at::allclose(real, (stored.to(at::kFloat) - 100) * 0.01));
    CHECK(at::amax(at::abs(real - x.clamp(-1, 1.55))).item<float>() < 0.00501F);
    CHECK(at::equal(quantized(real, q), stored));
    CHECK(at::equal(dequantized(stored, q, at::kBFloat16), real.to(at::kBFloat16)));
    CHECK(at::equal(quantized(real.to(at::kBFloat16), q), quantized(real.to(at::kBFloat16).to(at::kFloat), q)));
  }
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor ends = quantized(at::tensor({-inf, inf, nan, 0.0F}).view({1, 4, 1, 1}), q).flatten();
  CHECK(at::equal(ends, at::tensor({0, 255, 0, 100}).to(at::kByte)));
}

TEST_CASE("the mask of a stored output is that of its real values") {
  const float inf = std::numeric_limits<float>::infinity();
  for (const std::int64_t channels : {16, 12}) {  // packed, and as bool
    for (const Clamp& clamp : {Clamp{0, inf}, Clamp{0, 1}, Clamp{0, 6}}) {
      for (const std::int64_t zero : {0, 100}) {
        CAPTURE(channels);
        CAPTURE(clamp.high);
        CAPTURE(zero);
        const Quantization q{0.01, zero};
        const at::Tensor stored = quantized(normal_image({3, channels, 17, 23}).clamp(clamp.low, clamp.high), q);
        const at::Tensor real = dequantized(stored, q, at::kFloat);
        const FusedActivation activation{.clamp = clamp};
        const at::Tensor grad = at::ones_like(real);
        const at::Tensor found = activation_gradient(grad, clamp_mask(stored, q, clamp), activation);
        const at::Tensor expected = at::logical_and(real > 1e-4, real < clamp.high - 1e-4);
        CHECK(at::equal(found, expected.to(at::kFloat)));
        CHECK(found.min().item<float>() == 0);
      }
    }
  }
}

TEST_CASE("the maximum of stored values is that of the real ones") {
  const Quantization q{0.01, 100};
  for (const MaxPool2d& pool : {MaxPool2d{}, MaxPool2d{{2, 2}, {2, 2}, {0, 0}}, MaxPool2d{{5, 3}, {1, 2}, {2, 0}}}) {
    for (const std::int64_t channels : {1, 5, 64}) {
      const at::Tensor stored = quantized(normal_image({3, channels, 9, 13}), q);
      const at::Tensor expected = pool.forward({}, {dequantized(stored, q, at::kFloat)});
      const at::Tensor found = max_pooled(stored, pool);
      CHECK(found.is_contiguous(at::MemoryFormat::ChannelsLast));
      CHECK(at::equal(dequantized(found, q, at::kFloat), expected));
    }
  }
}
