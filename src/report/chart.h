// Charts as SVG elements for a page of report/html.h, whose style defines their colours.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lorikeet {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by x
  /// Index of the colour, 0 to 5.
  int colour = 0;
  /// Drawn thin and pale, without a mark at each point: noisy values.
  bool is_thin = false;
};

struct LineChart {
  std::string title;
  std::string x_title;
  std::vector<Series> series;
};

/// A figure with axes, curves and a legend. Points that are not finite are left out, and series of more than 400 points
/// are thinned by averaging. Empty if there are no points.
std::string line_chart(const LineChart& chart);

/// Points by a positive number, on a logarithmic axis, and a share.
struct ScatterChart {
  struct Point {
    double x = 0;
    double y = 0;
    /// Shown where the pointer rests on it.
    std::string label;
    /// Drawn beside the point, unless it would cover another name.
    std::string name = {};
  };
  struct Group {
    std::string name;
    std::vector<Point> points;
    /// Index of the colour, 0 to 5.
    int colour = 0;
    /// Joined by a line, in their order.
    bool is_line = false;
  };
  std::string title;
  std::string x_title;
  std::vector<Group> groups;
  /// The lowest share that the axis shows; points below are drawn at its edge.
  double y_low = 0;
  /// A dashed line at this share, if it is above y_low.
  double y_target = 0;
  /// Spaces the shares by the logarithm of their distance from 1, so that 0.99 and 0.995 are as far apart as 0.9 and
  /// 0.95.
  bool is_log_error = false;
};

/// A figure with axes, points and a legend. Points whose x is not positive are left out. Empty if there are no points.
std::string scatter_chart(const ScatterChart& chart);

/// Round numbers from at most `low` to at least `high`, about `count` of them. REQUIRES: low <= high, both finite.
std::vector<double> axis_ticks(double low, double high, int count);

/// A matrix of counts by class (rows) and predicted class (columns), shaded by their share of the row. `counts` is
/// row-major, and there are at most 100 labels.
std::string confusion_chart(const std::vector<std::string>& labels, const std::vector<std::int64_t>& counts);

}  // namespace lorikeet
