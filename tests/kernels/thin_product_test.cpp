#include "kernels/thin_product.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "graph/small_graphs.h"

using namespace lorikeet;

TEST_CASE("thin products are ATen's") {
  at::Generator generator = seeded(4);
  const auto noise = [&](at::IntArrayRef shape) { return at::empty(shape).normal_(0, 1, generator); };
  // Ranks and columns that fill tiles and that do not, several blocks, and a rank that is left to ATen.
  for (const auto& [n, c, r] :
       {std::array<std::int64_t, 3>{7, 5, 3}, {4001, 597, 16}, {300, 64, 20}, {50, 33, 70}, {2, 900, 4}}) {
    CAPTURE(n);
    const at::Tensor rows = noise({n, c}), factor = noise({r, c}), low = noise({n, r});
    const double bound = 1e-5 * std::sqrt(static_cast<double>(std::max(n, c)));
    const at::Tensor product = thin_product(rows, factor);
    CHECK(product.sizes() == at::IntArrayRef{n, r});
    CHECK(at::allclose(product, at::mm(rows, factor.t()), 1e-5, bound));
    CHECK(at::allclose(thin_product(rows, factor.t().contiguous().t()), product, 1e-5, bound));
    CHECK(at::allclose(factor_gradient(low, rows), at::mm(low.t(), rows), 1e-5, bound));
  }
}
