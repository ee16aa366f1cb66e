#include "report/search_page.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "report/chart.h"
#include "report/html.h"

namespace lorikeet {
namespace {

std::string label_of(const SearchTrial& trial) {
  return cat("trial ", trial.number, ": ", trial.method, trial.places.empty() ? "" : cat(" at ", trial.places),
             trial.size.empty() ? "" : cat(", ", trial.size), ", ", trial.precision, ": ", with_commas(trial.bytes),
             " bytes, ", fixed(trial.accuracy, 4));
}

std::string plot(const SearchPage& page) {
  constexpr double kMargin = 0.02;
  ScatterChart chart{.title = "Validation accuracy by the size of the file", .x_title = "bytes", .groups = {}};
  ScatterChart::Group trials{"trials", {}, 5}, front{"front", {}, 0, /*is_line=*/true};
  for (const SearchTrial& trial : page.trials) {
    if (trial.error.empty())
      trials.points.push_back({static_cast<double>(trial.bytes), trial.accuracy, label_of(trial)});
  }
  for (const SearchTrial& trial : page.front)
    front.points.push_back({static_cast<double>(trial.bytes), trial.accuracy, label_of(trial)});
  chart.y_low = page.target;
  for (const SearchTrial& trial : page.front) chart.y_low = std::min(chart.y_low, trial.accuracy);
  chart.y_low = std::max(0.0, chart.y_low - kMargin);
  chart.y_target = page.target;
  chart.groups = {std::move(trials), std::move(front), published_group(page.references)};
  return scatter_chart(chart);
}

std::string table_of(const std::vector<SearchTrial>& trials) {
  std::vector<std::vector<std::string>> rows;
  for (const SearchTrial& trial : trials) {
    rows.push_back(search_cells(trial));
    for (std::string& cell : rows.back()) cell = html_escaped(cell);
  }
  return rows.empty() ? "" : html_table(search_columns(), rows);
}

std::string list_of(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += cat("<li>", html_escaped(note), "</li>\n");
  return out.empty() ? "" : cat("<ul>", out, "</ul>\n");
}

}  // namespace

std::vector<Table::Column> search_columns() {
  return {{"method"},    {"places"},      {"size"},        {"head"},           {"rate", true},    {"parameters", true},
          {"precision"}, {"bytes", true}, {"steps", true}, {"accuracy", true}, {"seconds", true}, {"trial", true}};
}

std::vector<std::string> search_cells(const SearchTrial& trial) {
  std::vector<std::string> out{trial.method, trial.places,        trial.size,
                               trial.head,   trial.learning_rate, with_commas(trial.parameters)};
  if (!trial.error.empty()) {
    out.insert(out.end(), {"–", "–", "–", "failed", "–"});
  } else {
    out.insert(out.end(), {trial.precision, with_commas(trial.bytes), with_commas(trial.steps),
                           fixed(trial.accuracy, 4), fixed(trial.seconds, 1)});
  }
  out.push_back(std::to_string(trial.number));
  return out;
}

std::string search_page_html(const SearchPage& page) {
  std::string body = cat("<h1>", html_escaped(page.title), "</h1>\n<p class=\"dim\">", html_escaped(page.subtitle),
                         "</p>\n", fact_tiles(page.headline));
  body += html_section("Accuracy and bytes", plot(page));
  if (page.winner) body += html_section("Winner", table_of({*page.winner}));
  body += html_section("Pareto front", table_of(page.front));
  body += html_section("Trials, at the end of each stage", table_of(page.trials));
  std::vector<std::string> notes = page.notes;
  for (const SearchTrial& trial : page.trials) {
    if (!trial.error.empty()) notes.push_back(cat("trial ", trial.number, " failed: ", trial.error));
  }
  body += html_section("Notes", list_of(notes));
  return html_page(page.title, body);
}

}  // namespace lorikeet
