#include "report/published.h"

#include <utility>

#include "base/text.h"

namespace lorikeet {

std::vector<PublishedResult> published_results(const std::string& model, const std::string& data) {
  // The article that the recipes in recipes/article follow: its own figures. It states the size of the second case's
  // adapter, 7.9 MiB, and of the others the number of parameters.
  if (model != "resnet50" || data != "mnist") return {};
  return {{"article, case 1", 4 * 646e3, 0.075},
          {"article, case 2", 7.9 * 1024 * 1024, 0.965},
          {"article, case 3", 4 * 2.1e6, 0.94},
          {"article, case 4", 4 * 20.5e3, 0.715}};
}

ScatterChart::Group published_group(const std::vector<PublishedResult>& results) {
  ScatterChart::Group out{.name = "published", .points = {}, .colour = 1};
  for (const PublishedResult& result : results)
    out.points.push_back(
        {result.bytes, result.accuracy, cat(result.name, ": ", fixed(result.accuracy, 3)), result.name});
  return out;
}

}  // namespace lorikeet
