#include "kernels/packings.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "kernels/onednn.h"

using namespace lorikeet;

TEST_CASE("of one form a few are kept, and the least recently used is made again") {
  const Packings packings;
  int made = 0;
  const auto get = [&](int form, std::int64_t part) {
    const int before = made;
    const at::Tensor tensor = packings.get_plain(form, part, [&] {
      ++made;
      return at::full({4}, static_cast<double>(part));
    });
    CHECK(tensor[0].item<std::int64_t>() == part);
    return made > before;
  };
  for (const std::int64_t part : {1, 2, 3}) CHECK(get(0, part));
  for (const std::int64_t part : {1, 3, 2, 1}) CHECK_FALSE(get(0, part));
  CHECK(packings.bytes() == 3 * 4 * sizeof(float));
  CHECK(get(7, 1));  // another form has its own
  CHECK(get(0, 4));  // takes the place of 3
  CHECK_FALSE(get(0, 1));
  CHECK_FALSE(get(0, 2));
  CHECK_FALSE(get(7, 1));
  CHECK(get(0, 3));  // takes the place of 4
  CHECK(packings.bytes() == 4 * 4 * sizeof(float));
}

TEST_CASE("a packed weight serves every shape that asks for its layout") {
  const at::Tensor weight = at::ones({64, 64, 1, 1});
  if (!can_pack(weight.options())) return;
  const ConvGeometry pointwise{{1, 1}, {0, 0}, {1, 1}, 1};
  const Packings packings;
  std::size_t packed = 0;
  const auto get = [&](std::int64_t rows) {
    const std::vector<std::int64_t> input{1, 64, rows, 1};
    return packings.get({0, 0, layout_shape(weight.sizes(), at::kFloat, pointwise, input), [&] {
                           ++packed;
                           return pack_weight(weight, pointwise, input);
                         }});
  };
  for (const std::int64_t rows : {1, 7, 100, 4096, 100, 7, 1}) {
    CAPTURE(rows);
    const at::Tensor expected = pack_weight(weight, pointwise, {1, 64, rows, 1});
    CHECK(packed_layout(get(rows)) == packed_layout(expected));
    get(rows);  // kept from now on
    const std::size_t before = packed;
    get(rows);
    CHECK(packed == before);
    CHECK(packings.bytes() <= Packings::kKept * packed_bytes(expected));
  }
}
