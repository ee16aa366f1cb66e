#include "image/mix.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

using namespace lorikeet;

TEST_CASE("weights of mixed images have the moments of Beta(alpha, alpha)") {
  for (const double alpha : {0.01, 0.2, 1.0, 4.0}) {
    CAPTURE(alpha);
    Random random(3);
    constexpr int kDraws = 20'000;
    double mean = 0, variance = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double value = draw_beta(alpha, random);
      CHECK((value >= 0 && value <= 1));
      mean += value / kDraws;
      variance += (value - 0.5) * (value - 0.5) / kDraws;
    }
    CHECK(mean == doctest::Approx(0.5).epsilon(0.03));
    CHECK(variance == doctest::Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.03));
  }
}

TEST_CASE("MixUp, CutMix or one of them in turn is drawn") {
  int cuts = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const Mixing both = draw_mixing({.mixup_alpha = 0.2, .cutmix_alpha = 1}, 20, 30, random);
    cuts += both.cuts ? 1 : 0;
    CHECK((both.own >= 0 && both.own <= 1));
    CHECK_FALSE(draw_mixing({.mixup_alpha = 0.2}, 20, 30, random).cuts);
    const Mixing cut = draw_mixing({.cutmix_alpha = 1}, 20, 30, random);
    REQUIRE(cut.cuts);
    CHECK((cut.box.top >= 0 && cut.box.left >= 0 && cut.box.height >= 0 && cut.box.width >= 0));
    CHECK((cut.box.top + cut.box.height <= 20 && cut.box.left + cut.box.width <= 30));
    CHECK(cut.own == doctest::Approx(1 - static_cast<double>(cut.box.height * cut.box.width) / 600));
  }
  CHECK((cuts > 70 && cuts < 130));
}

TEST_CASE("the label with the larger weight leads, and mixed images keep their memory format") {
  const at::Tensor labels = at::tensor({4, 0, 2}, at::kLong);
  CHECK(leading_labels(labels, {.own = 0.5}).equal(labels));
  CHECK(leading_labels(labels, {.own = 0.4}).equal(at::tensor({2, 4, 0}, at::kLong)));
  const at::Tensor shares = mixed_labels(labels, 5, {.own = 0.25});
  CHECK(shares.sum(1).allclose(at::ones({3})));
  CHECK(shares[0][2].item<float>() == 0.75F);
  const at::Tensor images = at::rand({3, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  for (const Mixing& mixing : {Mixing{.own = 0.3}, cut_at(0.3, 2, 2, 4, 5)})
    CHECK(mixed_images(images, mixing).is_contiguous(at::MemoryFormat::ChannelsLast));
}
