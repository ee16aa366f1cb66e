#include "search/halving.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <type_traits>

namespace lorikeet {
namespace {

constexpr std::size_t kMostStages = 3;
constexpr std::int64_t kLeastSteps = 20;

std::vector<std::size_t> indices(std::size_t count) {
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), 0);
  return out;
}

std::vector<std::size_t> front_of(const std::vector<TrialPoint>& points, std::vector<std::size_t> members) {
  std::sort(members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(points[a].cost, -points[a].accuracy, a) < std::tuple(points[b].cost, -points[b].accuracy, b);
  });
  std::vector<std::size_t> out;
  for (const std::size_t i : members) {
    if (out.empty() || points[i].accuracy > points[out.back()].accuracy) out.push_back(i);
  }
  return out;
}

}  // namespace

std::vector<std::int64_t> stage_lengths(std::int64_t total, std::size_t candidates) {
  std::vector<std::int64_t> out{total};
  for (std::size_t left = candidates; out.size() < kMostStages && left >= kReduction; left /= kReduction) {
    const std::int64_t shorter = (out.front() + kReduction - 1) / kReduction;
    if (shorter < kLeastSteps) break;
    out.insert(out.begin(), shorter);
  }
  return out;
}

double seconds_of(const SearchSize& size, const SearchSpeed& speed) {
  constexpr std::int64_t kBeginning = 5;
  std::int64_t steps = 0, images = 0, before = 0;
  auto trials = static_cast<std::int64_t>(size.candidates);
  for (const std::int64_t end : stage_lengths(size.steps, size.candidates)) {
    steps += trials * (end - before + kBeginning);
    images += trials * (end == size.steps ? size.images : std::min(size.images, kEarlyImages));
    before = end;
    trials = (trials + kReduction - 1) / kReduction;
  }
  return static_cast<double>(steps) * speed.step + static_cast<double>(images) * speed.image;
}

SearchSize affordable_size(SearchSize size, const SearchSpeed& speed, double seconds, bool fixed_images) {
  const auto reduce = [&](auto& number, std::int64_t least) {
    while (static_cast<std::int64_t>(number) > least && seconds_of(size, speed) > seconds) {
      const auto now = static_cast<std::int64_t>(number);
      number = static_cast<std::remove_reference_t<decltype(number)>>(
          std::max(least, now - std::max<std::int64_t>(1, now / 20)));
    }
  };
  struct Least {
    std::int64_t images, candidates, steps;
  };
  for (const Least& least : {Least{kEarlyImages, 9, 60}, Least{100, 1, 20}}) {
    if (!fixed_images) reduce(size.images, least.images);
    reduce(size.candidates, least.candidates);
    reduce(size.steps, least.steps);
  }
  return size;
}

std::vector<std::size_t> pareto_front(const std::vector<TrialPoint>& points) {
  return front_of(points, indices(points.size()));
}

std::vector<std::size_t> promoted(const std::vector<TrialPoint>& points, std::size_t least, std::size_t most,
                                  double target, std::size_t extensions) {
  if (points.empty()) return {};
  const double reachable = (1 - target) * 1.25 * std::pow(2, extensions) + 1e-12;
  std::vector<std::size_t> left = indices(points.size());
  const auto most_accurate = std::min_element(left.begin(), left.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(-points[a].accuracy, points[a].cost) < std::tuple(-points[b].accuracy, points[b].cost);
  });
  std::vector<std::size_t> hopeful{*most_accurate}, others;
  left.erase(most_accurate);
  while (!left.empty()) {
    const std::vector<std::size_t> front = front_of(points, left);
    for (const std::size_t i : front) {
      (1 - points[i].accuracy <= reachable ? hopeful : others).push_back(i);
      std::erase(left, i);
    }
  }
  std::stable_sort(others.begin(), others.end(),
                   [&](std::size_t a, std::size_t b) { return points[a].accuracy > points[b].accuracy; });
  const std::size_t count = std::clamp(hopeful.size(), least, most);
  hopeful.insert(hopeful.end(), others.begin(), others.end());
  hopeful.resize(std::min(count, hopeful.size()));
  return hopeful;
}

std::size_t best_point(const std::vector<TrialPoint>& points, double target) {
  const auto key = [&](std::size_t i) {
    const TrialPoint& point = points[i];
    return point.accuracy >= target ? std::tuple(0, point.cost, -point.accuracy)
                                    : std::tuple(1, -point.accuracy, point.cost);
  };
  const std::vector<std::size_t> all = indices(points.size());
  return *std::min_element(all.begin(), all.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
}

}  // namespace lorikeet
