// Published results that a plot of accuracy by bytes shows for comparison.
#pragma once

#include <string>
#include <vector>

#include "report/chart.h"

namespace lorikeet {

struct PublishedResult {
  std::string name;
  /// Of the file of what is trained.
  double bytes = 0;
  double accuracy = 0;
};

/// The results for this model on this dataset, by their names in a recipe; empty if there are none.
std::vector<PublishedResult> published_results(const std::string& model, const std::string& data);

/// The results as a group of a plot, in the second colour.
ScatterChart::Group published_group(const std::vector<PublishedResult>& results);

}  // namespace lorikeet
