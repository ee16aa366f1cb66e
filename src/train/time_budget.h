// How many steps a training run can make in a given time. The plan follows the measured speed of steps and evaluations,
// so that it becomes more exact until the end: the first epochs run the frozen layers, whose outputs may be cached for
// later ones, and the final evaluation needs time too.
#pragma once

#include <cstdint>
#include <functional>

namespace lorikeet {

class TimeBudget {
 public:
  struct Run {
    std::int64_t steps_per_epoch = 1;
    /// Number of steps after which the outputs of the frozen layers are cached; a negative number if they never are.
    std::int64_t uncached_steps = -1;
    std::int64_t batch_size = 1;
    std::int64_t validation_images = 0;
    std::int64_t test_images = 0;
  };
  using Clock = std::function<double()>;

  /// `seconds` from now. `clock` returns seconds since any fixed time; by default that of a monotonic clock.
  TimeBudget(double seconds, const Run& run, Clock clock = {});

  double left() const;
  /// A step took `prefix` seconds for the frozen layers, unless they were cached, and `rest` seconds for the others.
  void add_step(double prefix, double rest);
  /// The evaluation of an epoch. The first one runs all layers, as the test does.
  void add_validation(double seconds);
  /// Returns how many steps the run has when it ends, at least `step`, the number of steps done. REQUIRES: is_known().
  std::int64_t total_steps(std::int64_t step) const;
  /// Whether there were enough steps for a plan. The first one does not count, because it prepares the network.
  bool is_known() const { return steps_ > 1; }

 private:
  // The mean of about the last twenty values.
  class Mean {
   public:
    void add(double value);
    double value() const { return value_; }
    bool any() const { return count_ > 0; }

   private:
    double value_ = 0;
    int count_ = 0;
  };

  Run run_;
  Clock clock_;
  double end_ = 0;
  std::int64_t steps_ = 0;
  Mean prefix_, rest_;
  bool was_validated_ = false;
  double first_validation_ = 0, last_validation_ = 0;
};

}  // namespace lorikeet
