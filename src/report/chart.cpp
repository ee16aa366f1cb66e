#include "report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "report/html.h"

namespace lorikeet {
namespace {

constexpr std::size_t kMostPoints = 400;
constexpr double kWidth = 400, kHeight = 230, kLeft = 44, kRight = 8, kTop = 8, kBottom = 34;
constexpr double kWide = 800, kHigh = 320;    // of a chart by itself
constexpr std::size_t kNumberedClasses = 30;  // with more, the cells of a matrix are too small for numbers

using Points = std::vector<std::pair<double, double>>;

Points thinned(const Points& points) {
  Points finite;
  std::copy_if(points.begin(), points.end(), std::back_inserter(finite),
               [](const auto& p) { return std::isfinite(p.first) && std::isfinite(p.second); });
  const std::size_t group = (finite.size() + kMostPoints - 1) / kMostPoints;
  if (group <= 1) return finite;
  Points out;
  for (std::size_t begin = 0; begin < finite.size(); begin += group) {
    const std::size_t end = std::min(begin + group, finite.size());
    double x = 0, y = 0;
    for (std::size_t i = begin; i < end; ++i) {
      x += finite[i].first;
      y += finite[i].second;
    }
    const auto count = static_cast<double>(end - begin);
    out.emplace_back(x / count, y / count);
  }
  return out;
}

std::string number(double value) {
  std::ostringstream out;
  out.precision(4);
  out << (std::abs(value) < 1e-12 ? 0 : value);
  return out.str();
}

std::string place(double value) { return fixed(value, 1); }

std::string svg_text(double x, double y, const char* anchor, const std::string& text, const char* style = "t") {
  return cat("<text class=\"", style, "\" x=\"", place(x), "\" y=\"", place(y), "\" text-anchor=\"", anchor, "\">",
             html_escaped(text), "</text>");
}

std::string shortened(const std::string& text, std::size_t characters) {
  std::size_t end = 0, count = 0;
  while (end < text.size() && count < characters) {
    end += std::max<std::size_t>(1, utf8_character(std::string_view(text).substr(end)));
    ++count;
  }
  return end < text.size() ? text.substr(0, end) + "…" : text;
}

constexpr double kLeastError = 1e-4;

double negative_log_error(double share) { return -std::log10(std::max(1 - share, kLeastError)); }

// Shares that are round, from at most `low` to at least `high`.
std::vector<double> error_ticks(double low, double high) {
  std::vector<double> out;
  for (const double tick : {0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999}) {
    if (tick <= low) out.clear();
    out.push_back(tick);
    if (tick >= high) break;
  }
  return out;
}

// The names beside points, none of which covers another.
class Names {
 public:
  std::string draw(double x, double y, const std::string& name) {
    constexpr double kCharacter = 6.5, kLine = 11, kGap = 7;
    const double width = kCharacter * static_cast<double>(name.size());
    const bool is_left = x + kGap + width > kWide - kRight;
    const Box box{is_left ? x - kGap - width : x + kGap, y, width};
    const auto covers = [&](const Box& other) {
      return std::abs(other.y - box.y) < kLine && box.x < other.x + other.width && other.x < box.x + box.width;
    };
    if (name.empty() || std::any_of(boxes_.begin(), boxes_.end(), covers)) return "";
    boxes_.push_back(box);
    return svg_text(is_left ? x - kGap : x + kGap, y + 4, is_left ? "end" : "start", name);
  }

 private:
  struct Box {
    double x, y, width;
  };
  std::vector<Box> boxes_;
};

struct Axis {
  double low, high, from, to;  // values and their places
  double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count) {
  if (high <= low) high = low + (low == 0 ? 1 : std::abs(low) * 0.1);
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> out;
  const double first = std::floor(low / step + 1e-9);
  const double last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last && out.size() < 50; ++i) out.push_back(i * step);
  return out;
}

std::string line_chart(const LineChart& chart) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<Points> drawn;
  double x_low = kInfinity, x_high = -kInfinity, y_low = kInfinity, y_high = -kInfinity;
  for (const Series& series : chart.series) {
    drawn.push_back(thinned(series.points));
    for (const auto& [x, y] : drawn.back()) {
      x_low = std::min(x_low, x);
      x_high = std::max(x_high, x);
      y_low = std::min(y_low, y);
      y_high = std::max(y_high, y);
    }
  }
  if (x_low > x_high) return "";
  if (y_low == y_high) y_low = std::min(y_low, 0.0);  // a constant is a line above zero
  const std::vector<double> ys = axis_ticks(y_low, y_high, 5);
  std::vector<double> xs = axis_ticks(std::min(x_low, 0.0), x_high, 6);
  while (xs.size() > 2 && xs.back() > x_high + 1e-9) xs.pop_back();  // curves extend to the right edge
  const Axis x{xs.front(), std::max(x_high, xs.back()), kLeft, kWidth - kRight};
  const Axis y{ys.front(), ys.back(), kHeight - kBottom, kTop};

  std::string out = cat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
                        html_escaped(chart.title), "\">");
  for (const double tick : ys) {
    out += cat("<path class=\"g\" d=\"M", place(kLeft), " ", place(y.at(tick)), "H", place(kWidth - kRight), "\"/>",
               svg_text(kLeft - 5, y.at(tick) + 4, "end", number(tick)));
  }
  for (const double tick : xs) out += svg_text(x.at(tick), kHeight - kBottom + 15, "middle", number(tick));
  out += svg_text((kLeft + kWidth - kRight) / 2, kHeight - 4, "middle", chart.x_title);
  std::string legend;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (drawn[i].empty()) continue;
    const std::string colour = cat("var(--s", chart.series[i].colour, ")");
    std::string path;
    for (const auto& [px, py] : drawn[i]) path += cat(path.empty() ? "M" : "L", place(x.at(px)), " ", place(y.at(py)));
    out += cat("<path class=\"c", chart.series[i].is_thin ? " thin" : "", "\" style=\"stroke:", colour, "\" d=\"", path,
               "\"/>");
    if (!chart.series[i].is_thin && drawn[i].size() <= 40) {
      for (const auto& [px, py] : drawn[i]) {
        out += cat("<circle cx=\"", place(x.at(px)), "\" cy=\"", place(y.at(py)), "\" r=\"2.5\" style=\"fill:", colour,
                   "\"><title>", html_escaped(chart.series[i].name), " ", number(py), "</title></circle>");
      }
    }
    legend += cat("<span><i style=\"background:", colour, chart.series[i].is_thin ? ";opacity:.45" : "", "\"></i>",
                  html_name(chart.series[i].name), "</span>");
  }
  return cat("<figure><figcaption>", html_escaped(chart.title), "<span class=\"key\">", legend, "</span></figcaption>",
             out, "</svg></figure>\n");
}

std::string scatter_chart(const ScatterChart& chart) {
  double low = std::numeric_limits<double>::infinity(), high = 0, y_high = chart.y_target;
  const auto is_drawn = [](const ScatterChart::Point& p) {
    return p.x > 0 && std::isfinite(p.x) && std::isfinite(p.y);
  };
  for (const auto& group : chart.groups) {
    for (const auto& point : group.points) {
      if (!is_drawn(point)) continue;
      low = std::min(low, point.x);
      high = std::max(high, point.x);
      y_high = std::max(y_high, point.y);
    }
  }
  if (low > high) return "";
  const double y_low = std::min(chart.y_low, y_high);
  const std::vector<double> ys = chart.is_log_error ? error_ticks(y_low, y_high) : axis_ticks(y_low, y_high, 5);
  const auto scaled = [&](double share) { return chart.is_log_error ? negative_log_error(share) : share; };
  const Axis x{std::floor(std::log10(low)), std::max(std::ceil(std::log10(high)), std::floor(std::log10(low)) + 1),
               kLeft, kWide - kRight};
  const Axis y{scaled(ys.front()), scaled(ys.back()), kHigh - kBottom, kTop};
  std::string out =
      cat("<svg viewBox=\"0 0 ", kWide, " ", kHigh, "\" role=\"img\" aria-label=\"", html_escaped(chart.title), "\">");
  for (const double tick : ys) {
    out += cat("<path class=\"g\" d=\"M", place(kLeft), " ", place(y.at(scaled(tick))), "H", place(kWide - kRight),
               "\"/>", svg_text(kLeft - 5, y.at(scaled(tick)) + 4, "end", number(tick)));
  }
  for (double power = x.low; power <= x.high; ++power) {
    out += cat("<path class=\"g\" d=\"M", place(x.at(power)), " ", place(kTop), "V", place(kHigh - kBottom), "\"/>",
               svg_text(x.at(power), kHigh - kBottom + 15, power == x.high ? "end" : "middle",
                        with_commas(std::llround(std::pow(10, power)))));
  }
  out += svg_text((kLeft + kWide - kRight) / 2, kHigh - 4, "middle", chart.x_title);
  if (chart.y_target > ys.front()) {
    out += cat("<path class=\"c thin\" stroke-dasharray=\"5 4\" style=\"stroke:var(--fg)\" d=\"M", place(kLeft), " ",
               place(y.at(scaled(chart.y_target))), "H", place(kWide - kRight), "\"><title>target ",
               number(chart.y_target), "</title></path>");
  }
  std::string legend;
  Names names;
  for (const auto& group : chart.groups) {
    const std::string colour = cat("var(--s", group.colour, ")");
    std::string path, marks;
    for (const auto& point : group.points) {
      if (!is_drawn(point)) continue;
      const double px = x.at(std::log10(point.x)), py = y.at(scaled(std::max(point.y, ys.front())));
      path += cat(path.empty() ? "M" : "L", place(px), " ", place(py));
      marks += cat("<circle cx=\"", place(px), "\" cy=\"", place(py), "\" r=\"",
                   group.is_line || !point.name.empty() ? 3 : 2, "\" style=\"",
                   point.y < ys.front() ? "fill:none;stroke:" : "fill:", colour, "\"><title>",
                   html_escaped(point.label), "</title></circle>", names.draw(px, py, point.name));
    }
    if (marks.empty()) continue;
    if (group.is_line) out += cat("<path class=\"c\" style=\"stroke:", colour, "\" d=\"", path, "\"/>");
    out += marks;
    legend += cat("<span><i style=\"background:", colour, "\"></i>", html_name(group.name), "</span>");
  }
  return cat("<figure><figcaption>", html_escaped(chart.title), "<span class=\"key\">", legend, "</span></figcaption>",
             out, "</svg></figure>\n");
}

std::string confusion_chart(const std::vector<std::string>& labels, const std::vector<std::int64_t>& counts) {
  const std::size_t n = labels.size();
  const bool has_numbers = n <= kNumberedClasses;
  const double cell = n <= 12 ? 34 : has_numbers ? 26 : 7;
  std::size_t longest = 0;
  for (const std::string& label : labels) longest = std::max(longest, std::min<std::size_t>(label.size(), 16));
  const double margin = has_numbers ? 16 + 6.5 * static_cast<double>(longest) : 16;
  const double size = margin + cell * static_cast<double>(n) + 4;
  std::string out = cat("<div class=\"wide\"><svg style=\"width:", place(size), "px\" viewBox=\"0 0 ", place(size), " ",
                        place(size), "\" role=\"img\" aria-label=\"Confusion matrix\">");
  for (std::size_t row = 0; row < n; ++row) {
    std::int64_t total = 0;
    for (std::size_t column = 0; column < n; ++column) total += counts[row * n + column];
    const double y = margin + cell * static_cast<double>(row);
    if (has_numbers) {
      const double middle = margin + cell * (static_cast<double>(row) + 0.5);
      out += svg_text(margin - 5, y + cell / 2 + 4, "end", shortened(labels[row], 16));
      out += cat("<text class=\"t\" text-anchor=\"start\" transform=\"translate(", place(middle + 4), " ",
                 place(margin - 5), ") rotate(-90)\">", html_escaped(shortened(labels[row], 16)), "</text>");
    }
    for (std::size_t column = 0; column < n; ++column) {
      const std::int64_t count = counts[row * n + column];
      if (count == 0 && !has_numbers) continue;
      const double share = total == 0 ? 0 : static_cast<double>(count) / static_cast<double>(total);
      // Rare confusions stay visible, and the numbers stay readable on the darkest cells.
      const double opacity = count == 0 ? 0.0 : 0.12 + 0.5 * share;
      const double x = margin + cell * static_cast<double>(column);
      out += cat("<rect x=\"", place(x), "\" y=\"", place(y), "\" width=\"", place(cell - 1), "\" height=\"",
                 place(cell - 1), "\" style=\"fill:",
                 count == 0      ? "var(--soft)"
                 : row == column ? "var(--s0)"
                                 : "var(--s1)",
                 ";fill-opacity:", count == 0 ? "1" : fixed(opacity, 2), "\"><title>", html_escaped(labels[row]),
                 " predicted as ", html_escaped(labels[column]), ": ", count, "</title></rect>");
      if (has_numbers && count > 0) {
        out += svg_text(x + (cell - 1) / 2, y + cell / 2 + 4, "middle",
                        count < 10'000 ? std::to_string(count) : cat(count / 1000, "k"), "v");
      }
    }
  }
  return cat(out,
             "</svg></div><p class=\"note\">Rows: class. Columns: predicted class. Shades: share of the row.</p>\n");
}

}  // namespace lorikeet
