#include "report/run_report.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "report/chart.h"
#include "report/html.h"

namespace lorikeet {
namespace {

constexpr int kColours = 6;

std::string fact_table(const std::vector<Fact>& facts, const std::string& name, const std::string& value,
                       const std::string& reason, bool numbers = false) {
  if (facts.empty()) return "";
  std::vector<Table::Column> columns{{name}, {value, numbers}};
  if (!reason.empty()) columns.push_back({reason});
  std::vector<std::vector<std::string>> rows;
  for (const Fact& fact : facts) {
    rows.push_back({html_escaped(fact.name), html_escaped(fact.value)});
    if (!reason.empty()) rows.back().push_back(html_escaped(fact.reason));
  }
  return html_table(columns, rows);
}

template <typename Value>
Series by_epoch(const std::string& name, int colour, const Curves& curves, Value value) {
  Series out{name, {}, colour};
  for (const auto& epoch : curves.epochs) {
    if (const std::optional<double> y = value(epoch)) out.points.emplace_back(epoch.epoch, *y);
  }
  return out;
}

std::string curves_html(const Curves& curves) {
  using Epoch = Curves::Epoch;
  Series steps{"each step", {}, 0, /*is_thin=*/true};
  Series rates{"learning rate", {}, 3, /*is_thin=*/false};
  for (const auto& step : curves.steps) {
    steps.points.emplace_back(step.epoch, step.loss);
    rates.points.emplace_back(step.epoch, step.learning_rate);
  }
  const auto loss = by_epoch("training", 0, curves, [](const Epoch& e) { return std::optional(e.loss); });
  const auto accuracy = by_epoch("training", 0, curves, [](const Epoch& e) { return std::optional(e.accuracy); });
  const auto validation_loss = by_epoch("validation", 1, curves, [](const Epoch& e) { return e.validation_loss; });
  const auto validation_accuracy =
      by_epoch("validation", 1, curves, [](const Epoch& e) { return e.validation_accuracy; });
  const std::string charts = line_chart({"Loss", "epoch", {steps, loss, validation_loss}}) +
                             line_chart({"Accuracy", "epoch", {accuracy, validation_accuracy}}) +
                             line_chart({"Learning rate", "epoch", {rates}});
  return charts.empty() ? "" : cat("<div class=\"charts\">", charts, "</div>\n");
}

std::string class_table(const std::vector<ClassRow>& classes) {
  if (classes.empty()) return "";
  std::vector<std::vector<std::string>> rows;
  for (const ClassRow& row : classes) {
    rows.push_back({html_name(row.name), with_commas(row.total), with_commas(row.predicted), fixed(row.precision, 4),
                    cat(fixed(row.recall, 4), "<span class=\"share\"><i style=\"width:", fixed(100 * row.recall, 1),
                        "%\"></i></span>"),
                    cat(fixed(row.recall_low, 3), " – ", fixed(row.recall_high, 3)), fixed(row.f1, 4)});
  }
  return html_table({{"class"},
                     {"images", true},
                     {"predicted", true},
                     {"precision", true},
                     {"recall", true},
                     {"95 % interval", true},
                     {"F1", true}},
                    rows);
}

std::string mistakes_html(const std::vector<MistakeImage>& mistakes) {
  std::string out;
  for (const MistakeImage& mistake : mistakes) {
    out += cat("<figure><img", mistake.is_small ? " class=\"pixels\"" : "", " src=\"", html_escaped(mistake.data_uri),
               "\" alt=\"", html_escaped(mistake.label), "\"><figcaption>", html_name(mistake.label), " as <b>",
               html_name(mistake.predicted), "</b> <span class=\"nowrap\">", fixed(100 * mistake.probability, 1),
               " %</span><span class=\"file\">", html_name(mistake.source), "</span></figcaption></figure>\n");
  }
  return out.empty() ? "" : cat("<div class=\"mistakes\">", out, "</div>\n");
}

// The block of a layer, or the first component of its name.
std::string stage_of(const std::string& name) {
  const std::string block = block_of(name);
  return block.empty() ? name.substr(0, name.find('.')) : block;
}

std::string network_html(const std::vector<LayerMark>& layers) {
  if (layers.empty()) return "";
  using State = LayerMark::State;
  const auto class_of = [](State state) {
    switch (state) {
      case State::kFrozen: return "";
      case State::kAdapted: return " a";
      case State::kTrained: return " t";
      case State::kBias: return " p";
    }
    return "";
  };
  std::string out, stage;
  for (const LayerMark& layer : layers) {
    if (const std::string of = stage_of(layer.name); out.empty() || of != stage) {
      out += cat(out.empty() ? "" : "</div>\n", "<div class=\"stage\"><b>", html_escaped(of), "</b>");
      stage = of;
    }
    const double width = 6 + 3.5 * std::log10(static_cast<double>(std::max<std::int64_t>(1, layer.parameters)));
    out += cat("<span class=\"l", class_of(layer.state), "\" style=\"width:", fixed(width, 0), "px\" title=\"",
               html_escaped(cat(layer.name, ": ", layer.operation, ", ", counted(layer.parameters, "parameter"),
                                layer.trained > 0 ? cat(", ", with_commas(layer.trained), " trained") : "")),
               "\"></span>");
  }
  out += "</div>\n<p class=\"key\">";
  for (const auto& [state, name, colour] :
       {std::tuple(State::kFrozen, "frozen", "frozen"), std::tuple(State::kAdapted, "with an adapter", "adapted"),
        std::tuple(State::kTrained, "trained in full", "trained"),
        std::tuple(State::kBias, "only the bias is trained", "partly")}) {
    const auto count = std::count_if(layers.begin(), layers.end(), [s = state](const auto& l) { return l.state == s; });
    if (count > 0) out += cat("<span><i style=\"background:var(--", colour, ")\"></i>", count, " ", name, "</span>");
  }
  return out + "</p>\n<p class=\"note\">Each mark is a layer with parameters; its width grows with their number.</p>\n";
}

std::string sizes_html(const std::vector<SizeRow>& sizes) {
  if (sizes.empty()) return "";
  const auto whole = static_cast<double>(std::max<std::uint64_t>(1, sizes.front().bytes));
  std::vector<std::vector<std::string>> rows;
  for (const SizeRow& row : sizes) {
    const double share = std::min(1.0, static_cast<double>(row.bytes) / whole);
    rows.push_back({html_escaped(row.what), row.parameters > 0 ? with_commas(row.parameters) : "–",
                    human_bytes(row.bytes),
                    cat(fixed(100 * share, share < 0.01 ? 3 : 1),
                        " %<span class=\"share\"><i style=\"width:", fixed(100 * share, 2), "%\"></i></span>")});
  }
  return html_table({{"what"}, {"parameters", true}, {"size", true}, {"of the complete model", true}}, rows);
}

std::string notes_html(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += cat("<li>", html_escaped(note), "</li>\n");
  return out.empty() ? "" : cat("<ul>", out, "</ul>\n");
}

}  // namespace

std::string fact_tiles(const std::vector<Fact>& facts) {
  std::string out;
  for (const Fact& fact : facts) {
    out += cat("<div class=\"tile\"><span>", html_escaped(fact.name), "</span><b>", html_escaped(fact.value),
               "</b><span>", html_escaped(fact.reason), "</span></div>\n");
  }
  return out.empty() ? "" : cat("<div class=\"tiles\">", out, "</div>\n");
}

std::string run_page_html(const RunPage& report) {
  std::string body = cat("<h1>", html_escaped(report.title), "</h1>\n<p class=\"dim\">", html_escaped(report.subtitle),
                         "</p>\n", fact_tiles(report.headline));
  const std::string on = report.split.empty() ? "" : cat(" on the ", report.split, " images");
  body += html_section("Training", curves_html(report.curves));
  body += html_section("Metrics" + on, fact_table(report.metrics, "metric", "value", "meaning", /*numbers=*/true));
  if (!report.confusion.empty())
    body += html_section("Confusion matrix" + on, confusion_chart(report.confusion_labels, report.confusion));
  body += html_section("Most confident mistakes" + on, mistakes_html(report.mistakes));
  body += html_section("Classes" + on, class_table(report.classes));
  body += html_section("Network", network_html(report.layers));
  body += html_section("Parameters and bytes", sizes_html(report.sizes));
  body += html_section("Choices", fact_table(report.choices, "choice", "value", "reason"));
  body += html_section("Notes", notes_html(report.notes));
  body += html_section("Machine and versions", fact_table(report.machine, "what", "value", ""));
  if (!report.recipe.empty()) {
    body += html_section(
        "Recipe", cat(
                      "<details><summary>The complete recipe; 'lorikeet train recipe.yaml' repeats the "
                      "run</summary><pre>",
                      [&] {  // line by line, because html_escaped shows line breaks as escapes
                        std::string lines;
                        for (std::size_t begin = 0; begin < report.recipe.size();) {
                          const std::size_t end = std::min(report.recipe.find('\n', begin), report.recipe.size());
                          lines += html_escaped(report.recipe.substr(begin, end - begin)) + "\n";
                          begin = end + 1;
                        }
                        return lines;
                      }(),
                      "</pre></details>\n"));
  }
  return html_page(report.title, body);
}

// Each run's smallest form, as one file if there is one.
std::string sizes_plot(const std::vector<ComparedRun>& runs, const std::vector<PublishedResult>& published) {
  ScatterChart chart{
      .title = "Accuracy by the size of the adapter", .x_title = "bytes", .groups = {}, .is_log_error = true};
  ScatterChart::Group points{.name = "runs", .points = {}};
  chart.y_low = 1;
  for (const ComparedRun& run : runs) {
    if (!run.accuracy) continue;
    const std::uint64_t bytes = run.file_bytes > 0 ? run.file_bytes : run.folder_bytes;
    const double accuracy = run.file_accuracy.value_or(*run.accuracy);
    points.points.push_back({static_cast<double>(bytes), accuracy,
                             cat(run.title, ": ", with_commas(bytes), " bytes, ", fixed(accuracy, 4)), run.title});
    chart.y_low = std::min(chart.y_low, accuracy);
  }
  if (points.points.empty()) return "";
  for (const PublishedResult& result : published) chart.y_low = std::min(chart.y_low, result.accuracy);
  chart.groups = {std::move(points), published_group(published)};
  return scatter_chart(chart);
}

std::string compare_page_html(const std::vector<ComparedRun>& runs, const std::vector<PublishedResult>& published) {
  std::vector<std::vector<std::string>> results, sizes;
  LineChart loss{"Training loss", "epoch", {}}, accuracy{"Validation accuracy", "epoch", {}},
      train_accuracy{"Training accuracy", "epoch", {}};
  int colour = 0;
  for (const ComparedRun& run : runs) {
    results.push_back({html_name(run.title), with_commas(run.trainable),
                       run.reported_trainable.empty() ? "–" : html_escaped(run.reported_trainable),
                       run.accuracy ? fixed(*run.accuracy, 4) : "–",
                       run.accuracy ? cat(fixed(run.accuracy_low, 4), " – ", fixed(run.accuracy_high, 4)) : "–",
                       run.reported_accuracy ? fixed(*run.reported_accuracy, 3) : "–",
                       run.macro_f1 ? fixed(*run.macro_f1, 4) : "–", clock(run.seconds),
                       fixed(run.images_per_second, 0)});
    sizes.push_back({html_name(run.title), human_bytes(run.model_bytes), human_bytes(run.adapter_bytes),
                     human_bytes(run.folder_bytes), run.file_bytes > 0 ? human_bytes(run.file_bytes) : "–"});
    using Epoch = Curves::Epoch;
    loss.series.push_back(
        by_epoch(run.title, colour, run.curves, [](const Epoch& e) { return std::optional(e.loss); }));
    train_accuracy.series.push_back(
        by_epoch(run.title, colour, run.curves, [](const Epoch& e) { return std::optional(e.accuracy); }));
    accuracy.series.push_back(
        by_epoch(run.title, colour, run.curves, [](const Epoch& e) { return e.validation_accuracy; }));
    colour = (colour + 1) % kColours;
  }
  const std::string charts = line_chart(loss) + line_chart(train_accuracy) + line_chart(accuracy);
  const std::string title = cat("Comparison of ", counted(runs.size(), "run"));
  return html_page(
      title, cat("<h1>", title, "</h1>\n",
                 html_section("Results", html_table({{"run"},
                                                     {"trainable", true},
                                                     {"reported", true},
                                                     {"accuracy", true},
                                                     {"95 % interval", true},
                                                     {"reported", true},
                                                     {"macro F1", true},
                                                     {"training", true},
                                                     {"img/s", true}},
                                                    results)),
                 html_section("Sizes", html_table({{"run"},
                                                   {"full model", true},
                                                   {"adapter_model.safetensors", true},
                                                   {"adapter folder", true},
                                                   {"adapter.lorikeet", true}},
                                                  sizes)),
                 html_section("Accuracy and bytes", sizes_plot(runs, published)),
                 html_section("Training", charts.empty() ? "" : cat("<div class=\"charts\">", charts, "</div>\n"))));
}

}  // namespace lorikeet
