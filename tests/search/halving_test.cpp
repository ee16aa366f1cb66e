#include "search/halving.h"

#include <doctest/doctest.h>

#include <tuple>

using namespace lorikeet;

namespace {

using Numbers = std::vector<std::size_t>;

// By cost: three on the front, two that others beat.
const std::vector<TrialPoint> kPoints{{500, 0.91}, {900, 0.95}, {950, 0.94}, {4000, 0.97}, {5000, 0.97}};

}  // namespace

TEST_CASE("stages grow threefold, and there are fewer of them for few candidates or few steps") {
  CHECK((stage_lengths(900, 37) == std::vector<std::int64_t>{100, 300, 900}));
  CHECK((stage_lengths(1000, 37) == std::vector<std::int64_t>{112, 334, 1000}));
  CHECK((stage_lengths(900, 8) == std::vector<std::int64_t>{300, 900}));
  CHECK((stage_lengths(900, 2) == std::vector<std::int64_t>{900}));
  CHECK((stage_lengths(100, 37) == std::vector<std::int64_t>{34, 100}));
  CHECK((stage_lengths(50, 37) == std::vector<std::int64_t>{50}));
}

TEST_CASE("the front has the points that no other beats, by cost") {
  CHECK(pareto_front(kPoints) == Numbers{0, 1, 3});
  CHECK(pareto_front({{1, 0.5}, {1, 0.5}, {1, 0.6}}) == Numbers{2});
  CHECK(pareto_front({}).empty());
}

TEST_CASE("those that may reach the target go on, the most accurate first and then the cheapest") {
  // A target of 0.96: an error of up to 0.1 after one extension, and of 0.2 after two.
  CHECK(promoted(kPoints, 3, 3, 0.96, 1) == Numbers{3, 0, 1});
  CHECK(promoted(kPoints, 2, 2, 0.98, 1) == Numbers{3, 1});  // 500 has no hope, with an error of 0.09
  CHECK(promoted(kPoints, 3, 3, 0.98, 2) == Numbers{3, 0, 1});
  // Without 4000, 5000 is on the front, and 950 on the second one. Without hope, only accuracy counts.
  CHECK(promoted(kPoints, 9, 9, 0.98, 1) == Numbers{3, 1, 4, 2, 0});
  CHECK(promoted(kPoints, 3, 3, 0.9999, 1) == Numbers{3, 4, 1});
  // All with hope, where there may be more.
  CHECK(promoted(kPoints, 2, 5, 0.96, 1) == Numbers{3, 0, 1, 4, 2});
  CHECK(promoted(kPoints, 2, 5, 0.98, 1) == Numbers{3, 1, 4});
  CHECK(promoted(kPoints, 2, 5, 0.9999, 1) == Numbers{3, 4});
  CHECK(promoted({}, 3, 3, 0.9, 1).empty());
}

TEST_CASE("the winner is the cheapest point that reaches the target, or the most accurate") {
  CHECK(best_point(kPoints, 0.95) == 1);
  CHECK(best_point(kPoints, 0.94) == 1);
  CHECK(best_point(kPoints, 0.96) == 3);
  CHECK(best_point(kPoints, 0.98) == 3);  // of 4000 and 5000, which are equally accurate
  CHECK(best_point({{3, 0.5}, {3, 0.6}}, 0.4) == 1);
}

TEST_CASE("a search is reduced to what the budget affords with its measurements, its candidates first") {
  const SearchSpeed speed{.step = 0.5, .image = 0.01};
  CHECK(seconds_of({27, 900, 5000}, speed) == doctest::Approx(0.5 * (27 * (100 + 5) + 9 * (200 + 5) + 3 * (600 + 5)) +
                                                              0.01 * (27 * 1000 + 9 * 1000 + 3 * 5000)));
  CHECK(seconds_of({2, 900, 300}, speed) == doctest::Approx(0.5 * 2 * 905 + 0.01 * 2 * 300));

  constexpr SearchSize kWanted{27, 900, 5000};
  const auto reduced = [&](double seconds, bool fixed_images = false) {
    const SearchSize out = affordable_size(kWanted, speed, seconds, fixed_images);
    CHECK((seconds_of(out, speed) <= seconds || seconds < 100));
    return std::tuple(out.candidates, out.steps, out.images);
  };
  CHECK((reduced(10'000) == std::tuple(27U, 900, 5000)));
  CHECK((reduced(seconds_of({27, 900, 1000}, speed)) == std::tuple(27U, 900, 1000)));
  CHECK((reduced(seconds_of({15, 900, 1000}, speed)) == std::tuple(15U, 900, 1000)));
  CHECK(std::get<0>(reduced(seconds_of({15, 900, 1000}, speed), true)) < 15);
  CHECK((reduced(seconds_of({9, 60, 1000}, speed)) == std::tuple(9U, 60, 1000)));
  CHECK((reduced(seconds_of({9, 60, 100}, speed)) == std::tuple(9U, 60, 100)));
  CHECK(std::get<0>(reduced(100)) < 9);
  CHECK((reduced(1) == std::tuple(1U, 20, 100)));
  CHECK((reduced(1, true) == std::tuple(1U, 20, 5000)));
  CHECK(affordable_size({3, 900, 50}, {}, 0, false).candidates == 3);  // an unknown speed
}
