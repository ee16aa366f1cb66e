#include "train/time_budget.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lorikeet {
namespace {

constexpr double kLastFiles = 0.5;           // seconds to write the adapter and the report
constexpr double kForwardShareOfStep = 0.4;  // of a step's trained part, which also runs backward

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void TimeBudget::Mean::add(double value) {
  constexpr int kValues = 20;
  count_ = std::min(count_ + 1, kValues);
  value_ += (value - value_) / count_;
}

TimeBudget::TimeBudget(double seconds, const Run& run, Clock clock)
    : run_(run), clock_(clock ? std::move(clock) : Clock(monotonic_seconds)), end_(clock_() + seconds) {}

double TimeBudget::left() const { return end_ - clock_(); }

void TimeBudget::add_step(double prefix, double rest) {
  if (++steps_ == 1) return;
  if (prefix > 0) prefix_.add(prefix);
  rest_.add(rest);
}

void TimeBudget::add_validation(double seconds) {
  last_validation_ = seconds;
  if (!std::exchange(was_validated_, true)) first_validation_ = seconds;
}

std::int64_t TimeBudget::total_steps(std::int64_t step) const {
  const auto images = [](std::int64_t count) { return static_cast<double>(count); };
  const double image = (prefix_.value() + kForwardShareOfStep * rest_.value()) / images(run_.batch_size);
  const double validation = was_validated_ ? last_validation_ : image * images(run_.validation_images);
  const double tested_image =
      was_validated_ && run_.validation_images > 0 ? first_validation_ / images(run_.validation_images) : image;
  // One more validation, if the last epoch is not complete.
  const double training = left() - kLastFiles - tested_image * images(run_.test_images) - validation;
  const double cached = rest_.value() + validation / images(run_.steps_per_epoch);
  const double uncached = cached + prefix_.value();
  if (training <= 0) return step;
  if (run_.uncached_steps < 0) return step + static_cast<std::int64_t>(training / uncached);
  const std::int64_t first = std::max<std::int64_t>(0, run_.uncached_steps - step);
  const double first_seconds = images(first) * uncached;
  if (training <= first_seconds) return step + static_cast<std::int64_t>(training / uncached);
  return step + first + static_cast<std::int64_t>((training - first_seconds) / cached);
}

}  // namespace lorikeet
