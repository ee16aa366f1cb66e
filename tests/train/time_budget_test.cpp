#include "train/time_budget.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace lorikeet;

namespace {

// A run on a clock that only its own work moves.
struct TimedRun {
  double seconds = 0;
  TimeBudget::Run run;
  double prefix = 0, rest = 0, validation = 0, first_validation = 0, test = 0;
  std::function<double(std::int64_t)> slowness = [](std::int64_t) { return 1.0; };

  // Returns the time at which it ends.
  double end(double limit, std::int64_t* steps = nullptr) {
    TimeBudget budget(limit, run, [&] { return seconds; });
    std::int64_t step = 0, total = 1'000'000'000;
    bool validated = false;
    while (step < total) {
      const bool is_cached = run.uncached_steps >= 0 && step >= run.uncached_steps;
      const double first = is_cached ? 0 : prefix * slowness(step), later = rest * slowness(step);
      seconds += first + later;
      budget.add_step(first, later);
      ++step;
      if (budget.is_known()) total = budget.total_steps(step);
      if (run.validation_images > 0 && (step % run.steps_per_epoch == 0 || step >= total)) {
        const double took = validated ? validation : first_validation;
        validated = true;
        seconds += took;
        budget.add_validation(took);
        if (budget.is_known()) total = budget.total_steps(step);
      }
    }
    if (steps != nullptr) *steps = step;
    return seconds + test;
  }
};

}  // namespace

TEST_CASE("a run of even steps ends in its time") {
  TimedRun run;
  run.run = {.steps_per_epoch = 10, .batch_size = 32};
  run.prefix = 0.3;
  run.rest = 0.2;
  std::int64_t steps = 0;
  const double end = run.end(600, &steps);
  CHECK(end <= 600);
  CHECK(end > 0.99 * 600);
  CHECK(steps == std::floor((600 - 0.5) / 0.5));
}

TEST_CASE("the plan includes the cache, validations and the test") {
  TimedRun run;
  run.run = {.steps_per_epoch = 8, .uncached_steps = 8, .batch_size = 32, .validation_images = 64, .test_images = 640};
  run.prefix = 2;
  run.rest = 0.1;
  run.first_validation = 4;
  run.validation = 0.1;
  run.test = 40;
  const double end = run.end(120);
  CHECK(end <= 1.02 * 120);
  CHECK(end > 0.95 * 120);
}

TEST_CASE("a run keeps its time when the machine becomes slower or faster") {
  for (const double later : {0.5, 2.0, 4.0}) {
    CAPTURE(later);
    TimedRun run;
    run.run = {.steps_per_epoch = 20, .batch_size = 32};
    run.rest = 0.25;
    run.prefix = 0.25;
    run.slowness = [=](std::int64_t step) { return step < 200 ? 1.0 : later; };
    const double end = run.end(600);
    CHECK(end <= 1.02 * 600);
    CHECK(end > 0.95 * 600);
  }
}

TEST_CASE("too little time ends the run after its first steps") {
  TimedRun run;
  run.run = {.steps_per_epoch = 20, .batch_size = 32};
  run.rest = 10;
  std::int64_t steps = 0;
  run.end(1, &steps);
  CHECK(steps == 2);
}
