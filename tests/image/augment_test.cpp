#include "image/augment.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "image/pattern.h"
#include "image/transform.h"

using namespace lorikeet;

namespace {

constexpr Preprocessing kTo20{.resize = 24, .crop = 20};

// `image` with `padding` black pixels around it.
at::Tensor padded(const at::Tensor& image, std::int64_t padding) {
  at::Tensor out = at::zeros({3, image.size(1) + 2 * padding, image.size(2) + 2 * padding}, at::kByte);
  out.narrow(1, padding, image.size(1)).narrow(2, padding, image.size(2)).copy_(image);
  return out;
}

struct Moments {
  double mean = 0, deviation = 0;
};
Moments moments(const std::vector<double>& values) {
  Moments out;
  for (const double x : values) out.mean += x / static_cast<double>(values.size());
  for (const double x : values) out.deviation += (x - out.mean) * (x - out.mean) / static_cast<double>(values.size());
  out.deviation = std::sqrt(out.deviation);
  return out;
}

}  // namespace

TEST_CASE("without chance an image is prepared") {
  Random random(1);
  const at::Tensor image = pattern(37, 53);
  CHECK_FALSE(Augmentation{}.any());
  CHECK(at::equal(augment(image, kTo20, {}, random), prepare(image, kTo20)));
  CHECK(random.next() == Random(1).next());  // nothing was drawn
}

TEST_CASE("a region is resized as torchvision's resized_crop does it") {
  struct Case {
    int width, height;
    Region region;
    int size;
    Interpolation interpolation;
    std::uint32_t expected;
  };
  const std::vector<Case> cases{
      {37, 23, {3, 5, 17, 20}, 12, Interpolation::kBilinear, 0xf38e55f5},
      {37, 23, {2, 20, 19, 16}, 12, Interpolation::kBicubic, 0xee9c64ac},
      {37, 23, {0, 30, 23, 7}, 12, Interpolation::kBicubic, 0x340db48c},  // Pillow before 13: see resample.h
      {64, 64, {10, 1, 9, 50}, 32, Interpolation::kBilinear, 0xf4678370},
      {500, 375, {17, 40, 300, 333}, 224, Interpolation::kBilinear, 0xaf67721c}};
  for (const Case& c : cases) {
    CAPTURE(c.size);
    CHECK(checksum(resized_crop(pattern(c.width, c.height), c.region, c.size, c.interpolation)) == c.expected);
  }
}

TEST_CASE("the region is drawn as RandomResizedCrop draws it") {
  // Mean and deviation of 100,000 draws of torchvision's get_params.
  struct Case {
    int width, height;
    std::array<double, 2> scale;
    Moments area, log_ratio, top, left;
    double whole_height;
  };
  const std::vector<Case> cases{
      {60, 40, {0.08, 1}, {0.3980, 0.1955}, {0.0309, 0.1646}, {5.324, 5.451}, {14.688, 10.255}, 0.0568},
      {32, 32, {0.35, 1}, {0.6268, 0.1649}, {0.0002, 0.1572}, {3.398, 3.161}, {3.411, 3.173}, 0.0484},
  };
  for (const Case& c : cases) {
    CAPTURE(c.width);
    Random random(7);
    constexpr int kDraws = 100'000;
    std::vector<double> area, log_ratio, top, left;
    int whole_height = 0;
    for (int i = 0; i < kDraws; ++i) {
      const Region r = draw_crop(c.height, c.width, c.scale, random);
      REQUIRE((r.height > 0 && r.width > 0 && r.top >= 0 && r.left >= 0 && r.top + r.height <= c.height &&
               r.left + r.width <= c.width));
      area.push_back(static_cast<double>(r.height * r.width) / (c.width * c.height));
      log_ratio.push_back(std::log(static_cast<double>(r.width) / static_cast<double>(r.height)));
      top.push_back(static_cast<double>(r.top));
      left.push_back(static_cast<double>(r.left));
      whole_height += r.height == c.height;
    }
    const auto check = [](const std::vector<double>& drawn, const Moments& expected) {
      const Moments found = moments(drawn);
      CHECK(std::abs(found.mean - expected.mean) < 0.02 * expected.deviation);
      CHECK(found.deviation == doctest::Approx(expected.deviation).epsilon(0.02));
    };
    check(area, c.area);
    check(log_ratio, c.log_ratio);
    check(top, c.top);
    check(left, c.left);
    CHECK(static_cast<double>(whole_height) / kDraws == doctest::Approx(c.whole_height).epsilon(0.05));
  }
}

TEST_CASE("of an image in which no region fits, the centre is kept, as torchvision does") {
  Random random(3);
  const auto check = [&](std::int64_t width, std::int64_t height, Region expected) {
    CAPTURE(width);
    const Region r = draw_crop(height, width, {0.9, 1}, random);
    CHECK(std::vector{r.top, r.left, r.height, r.width} ==
          std::vector{expected.top, expected.left, expected.height, expected.width});
  };
  check(1, 1000, {499, 0, 1, 1});
  check(1000, 3, {0, 498, 3, 4});
  check(10, 100, {43, 0, 13, 10});
}

TEST_CASE("padding moves an image to every place, and flips mirror it") {
  const at::Tensor image = pattern(37, 53);
  const at::Tensor plain = prepare(image, kTo20);
  constexpr int kPadding = 2;
  const at::Tensor around = padded(plain, kPadding);
  Random random(5);
  std::set<std::pair<int, int>> places;
  int mirrored = 0;
  constexpr int kDraws = 400;
  for (int i = 0; i < kDraws; ++i) {
    const at::Tensor out = augment(image, kTo20, {.crop_padding = kPadding, .horizontal_flip = 0.25}, random);
    bool found = false;
    for (int top = 0; top <= 2 * kPadding && !found; ++top) {
      for (int left = 0; left <= 2 * kPadding && !found; ++left) {
        const at::Tensor part = around.narrow(1, top, 20).narrow(2, left, 20);
        const bool is_mirrored = at::equal(out, part.flip(2));
        found = is_mirrored || at::equal(out, part);
        if (!found) continue;
        mirrored += is_mirrored;
        places.insert({top, left});
      }
    }
    REQUIRE(found);
  }
  CHECK(places.size() == 25);
  CHECK(mirrored > 70);  // 100 are expected, with a deviation of 9
  CHECK(mirrored < 130);
}

TEST_CASE("an image smaller than its padding can become black, and no more") {
  Random random(2);
  for (int i = 0; i < 50; ++i) {
    const at::Tensor out = augment(pattern(3, 2), {}, {.crop_padding = 9, .horizontal_flip = 0.5}, random);
    CHECK(out.sizes() == at::IntArrayRef({3, 2, 3}));
  }
}

TEST_CASE("a random part has the size of the crop, and differs from draw to draw") {
  const at::Tensor image = pattern(37, 53);
  const Augmentation part{.resized_crop = {0.2, 1}};
  Random random(11), again(11);
  const at::Tensor first = augment(image, kTo20, part, random);
  CHECK(first.sizes() == at::IntArrayRef({3, 20, 20}));
  CHECK(at::equal(first, augment(image, kTo20, part, again)));
  CHECK_FALSE(at::equal(first, augment(image, kTo20, part, random)));
}
