#include "ops/patches.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include "ops/noise.h"
#include "ops/op.h"

using namespace lorikeet;

namespace {

Shape shape_of(const Op& op, const std::vector<at::Tensor>& inputs) {
  std::vector<Shape> shapes;
  for (const at::Tensor& input : inputs) shapes.push_back(input.sizes().slice(1).vec());
  return output_shape(op, shapes, "x");
}

}  // namespace

TEST_CASE("patches are unfolded by the position in a patch, and folded back") {
  const at::Tensor image = noise({2, 5, 6, 9});
  const UnfoldPatches unfold{5, 3};
  const FoldPatches fold{5, 3};
  const at::Tensor patches = apply(unfold, {}, image);
  CHECK(patches.sizes() == at::IntArrayRef({2, 9, 6, 5}));
  CHECK(patches.is_contiguous());
  CHECK((shape_of(unfold, {image}) == Shape{9, 6, 5}));
  // Row 1, column 2 of the patch in row 1, column 0 of the grid of 2 × 3.
  CHECK(at::equal(patches.select(1, 1 * 3 + 2).select(1, 1 * 3 + 0), image.select(2, 3 + 1).select(2, 0 + 2)));
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor like = noise({2, 7, 6, 9}).contiguous(format);
    const at::Tensor folded = apply(fold, {}, {patches, like});
    CHECK(at::equal(folded, image));
    CHECK(folded.is_contiguous(format));
    CHECK((shape_of(fold, {patches, like}) == Shape{5, 6, 9}));
  }
}

TEST_CASE("an image that is no multiple of a patch is enlarged, and the result made smaller") {
  const at::Tensor image = noise({2, 4, 5, 7});
  const at::Tensor larger = at::upsample_bilinear2d(image, {6, 8}, false);
  const at::Tensor patches = apply(UnfoldPatches{4}, {}, image);
  CHECK(at::equal(patches, apply(UnfoldPatches{4}, {}, larger)));
  CHECK((shape_of(UnfoldPatches{4}, {image}) == Shape{4, 12, 4}));
  const at::Tensor folded = apply(FoldPatches{4}, {}, {patches, image});
  CHECK(at::equal(folded, at::upsample_bilinear2d(larger, {5, 7}, false)));
  CHECK((shape_of(FoldPatches{4}, {patches, image}) == Shape{4, 5, 7}));
}

TEST_CASE("attention is within each group of tokens") {
  const at::Tensor packed = noise({2, 4, 5, 18}), alone = packed.select(1, 2);
  const Attention attention{6, 2};
  const at::Tensor y = apply(attention, {}, packed);
  CHECK(close(y.select(1, 2), apply(attention, {}, alone)));
  CHECK((shape_of(attention, {packed}) == Shape{4, 5, 6}));
  const auto parts = packed.chunk(3, -1);
  CHECK(at::equal(apply(attention, {}, parts), y));
  const Shape in{4, 5, 18}, out{4, 5, 6};
  CHECK(macs(attention, {in, out}) == 4 * (2 * 5 * 5 * 6));
  CHECK(kept_bytes(attention, {in, out}, {4, false}) == 4 * 4 * (5 * 18 + 5 * 6 + 5 * 2));
}

TEST_CASE("patches are described by their features and size, and have no tensors") {
  CHECK(describe(UnfoldPatches{64}) == "UnfoldPatches(64, patch_size=2)");
  CHECK(describe(FoldPatches{64, 4}) == "FoldPatches(64, patch_size=4)");
  CHECK_FALSE(has_parameters(UnfoldPatches{}));
  CHECK_FALSE(has_parameters(FoldPatches{}));
  CHECK(takes(FoldPatches{}, 2));
  CHECK_FALSE(takes(FoldPatches{}, 1));
}
