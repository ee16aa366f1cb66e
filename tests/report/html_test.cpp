#include "report/html.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/base64.h"
#include "refusal.h"
#include "report/chart.h"
#include "report/run_report.h"

using namespace lorikeet;

namespace {

constexpr const char* kHostile = "<script>alert('x')</script>\"&\x01\x80";

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

}  // namespace

TEST_CASE("text is escaped") {
  CHECK(html_escaped("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(html_escaped("Größe") == "Größe");
  const std::string hostile = html_escaped(kHostile);
  for (const char* bad : {"<", ">", "\"", "'", "\x01", "\x80"}) CHECK(hostile.find(bad) == std::string::npos);
  CHECK(html_name("x<") == "<bdi>x&lt;</bdi>");
}

TEST_CASE("base64") {
  CHECK(base64("").empty());
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64(std::string("\xff\x00\xfe", 3)) == "/wD+");
}

TEST_CASE("ticks are round numbers that enclose the values") {
  CHECK(axis_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  for (const auto& [low, high] : {std::pair(0.013, 0.97), std::pair(-3.0, 12.0), std::pair(2.0, 2.0),
                                  std::pair(0.0, 0.0), std::pair(1e-9, 3e-9), std::pair(1e6, 7e6)}) {
    const auto ticks = axis_ticks(low, high, 5);
    REQUIRE(ticks.size() >= 2);
    CHECK(ticks.size() <= 12);
    CHECK(ticks.front() <= low);
    CHECK(ticks.back() >= high);
  }
}

TEST_CASE("a chart leaves out what is not finite, thins long series, and is nothing without points") {
  CHECK(line_chart({"t", "x", {}}).empty());
  CHECK(line_chart({"t", "x", {{"a", {{1, NAN}, {2, INFINITY}}}}}).empty());
  Series longer{"long", {}};
  for (int i = 0; i < 100'000; ++i) longer.points.emplace_back(i, i % 7);
  const std::string chart = line_chart({"t", "x", {longer, {kHostile, {{0, 1}, {5, 2}}, 1}}});
  CHECK(chart.size() < 20'000);
  CHECK(count(chart, "<path class=\"c") == 2);
  CHECK(chart.find("nan") == std::string::npos);
  CHECK(chart.find("<script") == std::string::npos);
  CHECK(!line_chart({"one point", "x", {{"a", {{1, 1}}}}}).empty());
}

TEST_CASE("a confusion matrix has a cell per pair, with numbers if they fit") {
  const std::string small = confusion_chart({"a", kHostile}, {3, 1, 0, 20'000});
  CHECK(count(small, "<rect") == 4);
  CHECK(small.find(">3<") != std::string::npos);
  CHECK(small.find(">20k<") != std::string::npos);
  CHECK(small.find("<script") == std::string::npos);
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("class " + std::to_string(i));
  std::vector<std::int64_t> counts(10'000);
  for (std::size_t i = 0; i < 100; ++i) counts[i * 101] = 5;
  CHECK(count(confusion_chart(names, counts), "<rect") == 100);  // empty cells are not drawn
}

TEST_CASE("nothing from outside reaches a report unescaped, and it refers to nothing outside") {
  RunPage report;
  report.title = report.subtitle = report.recipe = kHostile;
  report.headline = report.metrics = report.choices = report.machine = {{kHostile, kHostile, kHostile}};
  report.split = "test";
  report.classes = {{kHostile, 1, 1, 1, 1, 1, 0, 1}};
  report.confusion_labels = {kHostile};
  report.confusion = {1};
  report.mistakes = {{kHostile, true, kHostile, kHostile, 0.9, kHostile}};
  report.layers = {{kHostile, kHostile, 10, 5, LayerMark::State::kAdapted}};
  report.sizes = {{kHostile, 10, 100}};
  report.notes = {kHostile};
  report.curves.epochs = {{1, 0.5, 0.9, 0.4, 0.8}, {2, 0.3, 0.95, 0.35, 0.9}};
  const std::string html = run_page_html(report);
  CHECK(html.find("<script") == std::string::npos);
  CHECK(html.find("alert('x')") == std::string::npos);
  for (const char* outside : {"http://", "https://", "src=\"//", "@import", "url("}) {
    CHECK(html.find(outside) == std::string::npos);
  }
  CHECK(html.find("default-src 'none'") != std::string::npos);
  CHECK(count(html, "<section>") == 11);
  CHECK(count(html, "<span class=\"file\"><bdi>") == 1);  // not in a title only, which phones and paper do not show

  ComparedRun run;
  run.title = run.reported_trainable = kHostile;
  run.accuracy = 0.5;
  run.file_bytes = 1234;
  const std::string compared = compare_page_html({run, run}, {{"a published case", 8e6, 0.5}});
  CHECK(compared.find("<script") == std::string::npos);
  CHECK(compared.find("Comparison of 2 runs") != std::string::npos);
  CHECK(compared.find("1,234 bytes, 0.5000") != std::string::npos);
  CHECK(compared.find("a published case: 0.500") != std::string::npos);
}
