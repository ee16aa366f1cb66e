#include "engine/stored_values.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include "graph/small_graphs.h"

using namespace lorikeet;

TEST_CASE("a stand-in has the shape, the memory and the gradient of its stored value") {
  const Quantization q{0.01, 100};
  at::Generator generator = seeded(1);
  const at::Tensor x = at::empty({2, 3, 5, 4}).normal_(0, 1, generator);
  const at::Tensor stored = stored_value(x, q);
  CHECK(at::equal(stored, quantized(x, q)));
  CHECK(at::equal(stored_value(stored, q), stored));
  CHECK(real_value(x, q, at::kFloat).is_same(x));

  const at::Tensor value = stand_in(stored, at::kFloat).requires_grad_();
  CHECK((value.scalar_type() == at::kFloat && value.sizes() == x.sizes()));
  CHECK(value.storage().nbytes() == stored.nbytes());
  const at::Tensor behind = stored_value(value, q);
  CHECK(behind.const_data_ptr() == stored.const_data_ptr());
  CHECK(behind.is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(at::equal(behind, stored));
  const at::Tensor real = real_value(value, q, at::kFloat);
  CHECK(at::equal(real, real_value(stored, q, at::kFloat)));
  (real * x).sum().backward();
  CHECK(at::equal(value.grad(), x));
}
