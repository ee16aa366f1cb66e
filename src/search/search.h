// Searches for the smallest adapter that reaches an accuracy on validation images. Any number of processes may run the
// same search in one folder; each trial is trained by one of them. docs/search.md describes it for users.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fetch/download.h"
#include "lorikeet/progress.h"
#include "report/search_page.h"
#include "search/folder.h"
#include "train/recipe.h"

namespace lorikeet {

struct SearchRequest {
  std::filesystem::path folder;
  /// Absent: the search in the folder is continued.
  std::optional<Recipe> recipe = {};
  /// The keys that the recipe fixes.
  std::set<std::string> named = {};
  /// Accuracy on validation images.
  double target = 0;
  SearchCost minimise = SearchCost::kBytes;
  /// Seconds that this process searches. No trial begins that would not end in time.
  double budget = 0;
};

struct SearchCallbacks {
  /// Called after every batch. Returning false stops the search; it can be continued.
  std::function<bool(const SearchTrial&, const TrainProgress&)> progress = {};
  /// Called a few times a second while other processes hold all trials that are left. Likewise.
  std::function<bool()> waiting = {};
  /// Called after each stage of a trial that this process trained.
  std::function<void(const SearchTrial&)> trial = {};
  LogCallback log = {};
  DownloadCallback download = {};
};

struct SearchOutcome {
  bool is_interrupted = false;
  bool is_reached = false;
  SearchPlan plan;
  /// Each stage of each trial, in the form with the least cost among the most accurate ones (representative_form).
  std::vector<SearchTrial> trials;
  /// The Pareto front of cost and accuracy, by cost, among all forms of the latest stage that any trial has reached.
  std::vector<SearchTrial> front;
  /// The point of the front with the least cost that reaches the target, or the most accurate one.
  std::optional<SearchTrial> winner;
  /// Images on which that stage was measured.
  std::int64_t validation_images = 0;
  /// Of the winner on the test split; the total is 0 if there is none.
  std::int64_t test_correct = 0;
  std::int64_t test_total = 0;
  /// Stages of trials that did not fit the budget.
  std::size_t left_out = 0;
};

/// Runs or continues a search, or takes part in one, and writes winner.yaml, winner.lorikeet, result.json and
/// report.html into its folder. The test split is read once, for the winner. Throws UsageError if the folder holds
/// another search.
SearchOutcome run_search(const SearchRequest& request, const SearchCallbacks& callbacks);

/// "3 trials", "3 stages of trials": how many were left out.
std::string left_out_text(const SearchOutcome& outcome);

/// The outcome as the JSON document of result.json and --json.
Json outcome_json(const SearchOutcome& outcome);

/// The page of report.html.
SearchPage search_page(const SearchOutcome& outcome);

/// Of the forms of a stage, the one with the fewest bytes that loses at most 0.2 points of accuracy against the best.
const MeasuredForm& representative_form(const StageResult& stage);

}  // namespace lorikeet
