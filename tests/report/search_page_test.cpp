#include "report/search_page.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "refusal.h"
#include "report/chart.h"

using namespace lorikeet;

namespace {

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

SearchTrial small_trial() {
  SearchTrial out;
  out.number = 3;
  out.method = "TINYLORA";
  out.places = "<half>";
  out.size = "r=16 u=330";
  out.head = "{projected: 16}";
  out.learning_rate = "2e-2";
  out.precision = "int8";
  out.parameters = 500;
  out.bytes = 815;
  out.accuracy = 0.96;
  out.steps = 400;
  out.seconds = 12.34;
  return out;
}

}  // namespace

TEST_CASE("a scatter chart has a power of ten on each side, and points below its axis at the edge") {
  ScatterChart chart{.title = "<t>", .x_title = "bytes", .groups = {}};
  CHECK(scatter_chart(chart).empty());
  chart.groups = {{"trials", {{815, 0.96, "a<b"}, {0, 0.9, "free"}, {12000, 0.5, "low"}}, 5},
                  {"front", {{815, 0.96, "a"}, {9000, 0.99, "b"}}, 0, /*is_line=*/true},
                  {"none", {}, 1}};
  chart.y_low = 0.9;
  chart.y_target = 0.965;
  const std::string svg = scatter_chart(chart);
  CHECK(svg == has(">100</text>"));
  CHECK(svg == has(">100,000</text>"));
  CHECK(svg == has("a&lt;b"));
  CHECK(svg == has("&lt;t&gt;"));
  CHECK(svg == has("target 0.965"));
  CHECK(svg == has("fill:none;stroke:var(--s5)\"><title>low"));
  CHECK(occurrences(svg, "<circle") == 4);
  CHECK(svg.find("free") == std::string::npos);
  CHECK(svg.find("none</") == std::string::npos);
}

TEST_CASE("a scatter chart can space shares by their errors, and names points where no name covers another") {
  ScatterChart chart{
      .title = "t",
      .x_title = "bytes",
      .groups = {{"runs", {{1000, 0.98, "", "a<b"}, {1010, 0.98, "", "covered"}, {9.9e5, 0.995, "", "right"}}}},
      .y_low = 0.92,
      .is_log_error = true};
  const std::string svg = scatter_chart(chart);
  CHECK(svg == has(">0.9</text>"));
  CHECK(svg == has(">0.995</text>"));
  CHECK(svg.find(">0.8<") == std::string::npos);
  CHECK(svg.find(">0.998<") == std::string::npos);
  CHECK(svg == has("cy=\"136.6\""));  // log10(0.1 / 0.02) of log10(0.1 / 0.005), from 286 up to 8
  CHECK(svg == has("text-anchor=\"start\">a&lt;b</text>"));
  CHECK(svg == has("text-anchor=\"end\">right</text>"));
  CHECK(svg.find("covered") == std::string::npos);
  chart.groups[0].points[0].y = 1;
  CHECK(scatter_chart(chart) == has("cy=\"8.0\""));
}

TEST_CASE("the page of a search shows the winner, the front, all trials and why some failed") {
  SearchTrial failed = small_trial();
  failed.number = 4;
  failed.error = "training: got a loss of nan";
  SearchPage page;
  page.title = "Search: a & b";
  page.headline = {{"test accuracy", "0.9601"}};
  page.trials = {small_trial(), failed};
  page.front = {small_trial()};
  page.winner = small_trial();
  page.target = 0.95;
  page.references = {{"article, case 2", 8e6, 0.965}};
  page.notes = {"left out <x>"};
  const std::string html = search_page_html(page);
  CHECK(html == has("<h1>Search: a &amp; b</h1>"));
  CHECK(html == has("<b>0.9601</b>"));
  CHECK(html == has("article, case 2: 0.965"));
  CHECK(html == has("left out &lt;x&gt;"));
  CHECK(html == has("trial 4 failed: training: got a loss of nan"));
  CHECK(occurrences(html, "&lt;half&gt;</td>") == 4);  // winner, front, trials
  CHECK(search_cells(failed).size() == search_columns().size());
  CHECK(search_cells(small_trial()).size() == search_columns().size());
}
