// Successive halving (Jamieson and Talwalkar, 2016) on a Pareto front: all candidates train for a short time, and the
// third of them that is nearest to the front of cost and accuracy trains three times as long. All that may reach the
// target then get to the last stage, as far as the budget goes. Without clocks and random
// numbers: the same results give the same decisions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lorikeet {

/// What a trial costs (bytes, parameters or seconds) and the share of validation images that it gets right.
struct TrialPoint {
  double cost = 0;
  double accuracy = 0;
};

/// Of each factor between stages.
inline constexpr std::int64_t kReduction = 3;

/// The number of steps after which each stage ends, ascending up to `total`: up to three stages, if there are enough
/// candidates and the first has 20 steps.
std::vector<std::int64_t> stage_lengths(std::int64_t total, std::size_t candidates);

/// The number of images on which stages before the last are measured, if there are so many.
inline constexpr std::int64_t kEarlyImages = 1000;

/// What a search trains and measures.
struct SearchSize {
  std::size_t candidates = 0;
  /// Of the last stage.
  std::int64_t steps = 0;
  /// On which the last stage is measured.
  std::int64_t images = 0;
};

/// In seconds.
struct SearchSpeed {
  double step = 0;
  /// To measure an image in all precisions.
  double image = 0;
};

/// Returns the time of all trials in all stages: their steps, five more to begin each, and their measurements.
double seconds_of(const SearchSize& size, const SearchSpeed& speed);

/// Reduces `size` to at most `seconds` as far as it can, first the images to 1,000, then the candidates to 9 and the
/// length to 60 steps, and if that is not enough, to 100 images, 1 candidate and 20 steps. `fixed_images`: their number
/// stays.
SearchSize affordable_size(SearchSize size, const SearchSpeed& speed, double seconds, bool fixed_images);

/// The points that no other one beats in both: none costs less or the same and is more accurate, or costs less and is
/// as accurate. By cost; of equal points, the first.
std::vector<std::size_t> pareto_front(const std::vector<TrialPoint>& points);

/// The points that may reach `target`, but at least `least` and at most `most` points, in the order in which they
/// should go on, where `extensions` stages follow. The most accurate point is first. Then come, front by front (a front
/// being that of the points that are not on an earlier one), those that may reach it, by cost, and then the others, by
/// accuracy. A point may reach it if its error is at most that of the target times 2.5 for one extension and 2 for each
/// further one.
std::vector<std::size_t> promoted(const std::vector<TrialPoint>& points, std::size_t least, std::size_t most,
                                  double target, std::size_t extensions);

/// The point with the least cost that reaches `target`; of equal ones, the most accurate. If none does, the most
/// accurate; of equal ones, that with the least cost. REQUIRES: at least one.
std::size_t best_point(const std::vector<TrialPoint>& points, double target);

}  // namespace lorikeet
