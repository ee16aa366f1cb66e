#include "image/transform.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "image/pattern.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

struct Resize {
  int width, height, size;
  Interpolation interpolation;
  int new_width, new_height;
  std::uint32_t resized;
  std::uint32_t cropped[3];  // to 5, 10 and 224
};
constexpr auto kBilinear = Interpolation::kBilinear;
constexpr auto kBicubic = Interpolation::kBicubic;
constexpr int kCrops[] = {5, 10, 224};
const std::vector<Resize> kResizes{
    {37, 23, 8, kBilinear, 12, 8, 0xe29fd1d0, {0x49a6d928, 0x16807a1b, 0x25705abd}},
    {37, 23, 8, kBicubic, 12, 8, 0x2c5e1ffc, {0x3a29029b, 0x57a7b127, 0x546a1373}},
    {23, 37, 50, kBilinear, 50, 80, 0xe57a0e2e, {0x3fdee7ae, 0x2d64b7af, 0x78db015a}},
    {23, 37, 50, kBicubic, 50, 80, 0xe3d620a8, {0x5e098a2b, 0xabe81637, 0x9a3ce0ee}},
    {500, 375, 232, kBilinear, 309, 232, 0xec38b70f, {0xc1442277, 0xeda0d148, 0x9ec06a2c}},
    {333, 500, 256, kBicubic, 256, 384, 0xadcd2ac6, {0x471e944b, 0xdd0b4b68, 0x7c65535f}},
    {64, 40, 40, kBilinear, 64, 40, 0xbcb84c46, {0x54d2eac7, 0xe7efa5e2, 0x44a4ba14}},  // nothing to resize
};

Preprocessing steps(int resize, int crop, Interpolation interpolation) {
  Preprocessing out;
  out.resize = resize;
  out.crop = crop;
  out.interpolation = interpolation;
  return out;
}

// What torchvision computes, operation by operation.
at::Tensor reference_normalise(const at::Tensor& batch, const Preprocessing& p) {
  const auto channel = [](const std::array<double, 3>& v) {
    return at::tensor({static_cast<float>(v[0]), static_cast<float>(v[1]), static_cast<float>(v[2])})
        .reshape({1, 3, 1, 1});
  };
  return batch.to(at::kFloat).div(255).sub(channel(p.mean)).div(channel(p.std));
}

}  // namespace

TEST_CASE("resizes and crops equal torchvision's on PIL images, step by step and in one go") {
  for (const Resize& r : kResizes) {
    CAPTURE(r.width);
    CAPTURE(r.size);
    CAPTURE(static_cast<int>(r.interpolation));
    const at::Tensor image = pattern(r.width, r.height);
    const at::Tensor resized = resize_shorter_side(image, r.size, r.interpolation);
    REQUIRE(resized.sizes() == at::IntArrayRef({3, r.new_height, r.new_width}));
    CHECK(checksum(resized) == r.resized);
    CHECK(checksum(resize_shorter_side(image.contiguous(), r.size, r.interpolation)) == r.resized);
    CHECK(checksum(prepare(image, steps(r.size, 0, r.interpolation))) == r.resized);
    for (int i = 0; i < 3; ++i) {
      CAPTURE(kCrops[i]);
      CHECK(checksum(center_crop(resized, kCrops[i])) == r.cropped[i]);
      CHECK(checksum(prepare(image, steps(r.size, kCrops[i], r.interpolation))) == r.cropped[i]);
    }
  }
}

TEST_CASE("a squash gives a square, of which a crop is a part, also where one side keeps its length") {
  for (const auto& [width, height] : {std::pair{37, 40}, std::pair{40, 37}, std::pair{40, 40}, std::pair{23, 61}}) {
    for (const Interpolation interpolation : {kBilinear, kBicubic}) {
      CAPTURE(width);
      CAPTURE(height);
      const at::Tensor image = pattern(width, height);
      Preprocessing p = steps(40, 0, interpolation);
      p.squash = true;
      const at::Tensor whole = prepare(image, p);
      REQUIRE(whole.sizes() == at::IntArrayRef({3, 40, 40}));
      p.crop = 33;  // an odd margin of 7
      CHECK(at::equal(prepare(image, p), whole.narrow(1, 4, 33).narrow(2, 4, 33)));
      p.crop_rounds_down = true;
      CHECK(at::equal(prepare(image, p), whole.narrow(1, 3, 33).narrow(2, 3, 33)));
    }
  }
}

TEST_CASE("a network that reads B, G, R gets them, with its own mean") {
  const at::Tensor batch = pattern(9, 7).unsqueeze(0);
  Preprocessing p;
  p.bgr = true;
  CHECK(at::equal(normalise(batch, p), normalise(batch.flip(1), Preprocessing{})));
}

TEST_CASE("a centre crop rounds halves to even and pads with black, as torchvision's") {
  struct Crop {
    int width, height, size;
    std::uint32_t expected;
  };
  for (const Crop& crop : {Crop{5, 8, 4, 0x56f61e52},
                           {7, 8, 5, 0xd591ace7},
                           {8, 7, 5, 0xb232bb99},
                           {9, 4, 6, 0x8765f98b},
                           {4, 9, 7, 0x1e29f6cd},
                           {3, 3, 6, 0xf92f557e},
                           {11, 6, 4, 0xdcaf3daf}}) {
    CAPTURE(crop.width);
    const at::Tensor image = pattern(crop.width, crop.height);
    CHECK(checksum(center_crop(image, crop.size)) == crop.expected);
    CHECK(checksum(prepare(image, steps(0, crop.size, kBilinear))) == crop.expected);
  }
}

TEST_CASE("a prepared image is interleaved and does not keep a larger one alive") {
  const at::Tensor image = pattern(64, 40);
  for (const auto& p : {steps(0, 0, kBilinear), steps(40, 20, kBilinear), steps(30, 20, kBicubic),
                        steps(0, 20, kBilinear), steps(30, 0, kBilinear)}) {
    for (const at::Tensor& input : {image, image.contiguous(), image.narrow(2, 3, 50)}) {
      const at::Tensor out = prepare(input, p);
      CHECK(out.permute({1, 2, 0}).is_contiguous());
      CHECK(out.storage().nbytes() == out.nbytes());
    }
  }
}

TEST_CASE("very long images: the crop stays small, a resize without one is refused") {
  const at::Tensor line = at::full({1, 65'535, 3}, 200, at::kByte).permute({2, 0, 1});
  const at::Tensor out = prepare(line, steps(256, 224, kBicubic));
  REQUIRE(out.sizes() == at::IntArrayRef({3, 224, 224}));
  CHECK(out.eq(200).all().item<bool>());
  CHECK(prepare(line.transpose(1, 2), steps(256, 224, kBilinear)).eq(200).all().item<bool>());
  CHECK_THROWS_WITH_AS(resize_shorter_side(line, 256, kBilinear), doctest::Contains("65535 x 1"), Error);
  CHECK_THROWS_AS(prepare(line, steps(256, 0, kBilinear)), Error);
}

TEST_CASE("normalise equals torchvision's for every byte and any strides") {
  Preprocessing p;
  const at::Tensor all = at::arange(256, at::kByte).reshape({1, 1, 16, 16}).expand({5, 3, 16, 16});
  const at::Tensor expected = reference_normalise(all, p);
  for (const at::Tensor& batch : {all, all.contiguous(), all.contiguous(at::MemoryFormat::ChannelsLast)}) {
    const at::Tensor out = normalise(batch, p);
    CHECK((out.scalar_type() == at::kFloat));
    CHECK(out.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(at::allclose(out, expected, 0, 1e-6));
  }
  p.mean = {0.5, 0.1, 0.9};
  p.std = {0.5, 1.0, 0.25};
  const at::Tensor images = at::randint(0, 256, {3, 3, 150, 130}, at::kByte);  // several tasks an image
  CHECK(at::allclose(normalise(images, p), reference_normalise(images, p), 0, 1e-6));
  const at::Tensor part = images.narrow(2, 10, 50).narrow(3, 5, 70);
  CHECK(at::allclose(normalise(part, p), reference_normalise(part, p), 0, 1e-6));
  CHECK(normalise(images.narrow(0, 0, 0), p).sizes() == at::IntArrayRef({0, 3, 150, 130}));
}

TEST_CASE("three equal channels are a view that is read without a copy") {
  const at::Tensor batch = at::randint(0, 256, {4, 1, 6, 5}, at::kByte);
  const Preprocessing p;
  CHECK(at::allclose(normalise(batch.expand({4, 3, 6, 5}), p),
                     reference_normalise(at::cat({batch, batch, batch}, 1), p), 0, 1e-6));
}
