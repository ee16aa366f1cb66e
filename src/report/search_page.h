// The page of a search: what it found, all trials, and a plot of accuracy against bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/published.h"
#include "report/run_report.h"
#include "report/table.h"

namespace lorikeet {

/// A trial at the end of a stage, in a file of one precision.
struct SearchTrial {
  std::size_t number = 0;  // from 1
  std::string method;
  std::string places;
  /// "r=16 u=330".
  std::string size;
  std::string head;
  std::string learning_rate;
  std::string precision;
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
  /// On the validation images.
  double accuracy = 0;
  std::int64_t steps = 0;
  double seconds = 0;
  /// Why it failed; the measurements have no meaning then.
  std::string error;
};

struct SearchPage {
  std::string title;
  std::string subtitle;
  std::vector<Fact> headline;
  std::vector<SearchTrial> trials;
  /// By bytes.
  std::vector<SearchTrial> front;
  std::optional<SearchTrial> winner;
  double target = 0;
  std::vector<PublishedResult> references;
  std::vector<std::string> notes;
};

/// Titles of the columns of a table of trials, and the cells of a row. The titles of numbers are `right`.
std::vector<Table::Column> search_columns();
std::vector<std::string> search_cells(const SearchTrial& trial);

std::string search_page_html(const SearchPage& page);

}  // namespace lorikeet
