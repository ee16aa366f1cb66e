// The folder of a search, which any number of processes share:
//
//   search.json            what is searched: recipe, target, stages, candidates; never changes
//   promoted-2.json …      the trials of a later stage, in their order, decided once
//   trials/0001/           result.json, claim.lock, run/ (train/train.h), stage-1.lorikeet …: the adapter after each
//                          stage, in float32
//   winner.yaml, winner.lorikeet, result.json, report.html     written at the end
//
// All files are written atomically. A trial belongs to the process that holds its lock; the system releases the lock of
// a process that ends, however it does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "fetch/file_lock.h"
#include "search/halving.h"
#include "search/space.h"

namespace lorikeet {

enum class SearchCost { kBytes, kParameters, kSeconds };
/// "bytes", "parameters", "seconds".
const std::vector<std::string>& search_cost_names();

/// What search.json holds.
struct SearchPlan {
  /// The complete recipe as YAML, with the length of the last stage.
  std::string recipe;
  /// What was asked for: the recipe before choices were made, and the keys that it names. Two processes share a search
  /// only if this is equal.
  std::string request;
  double target = 0;
  SearchCost minimise = SearchCost::kBytes;
  /// The steps after which each stage ends.
  std::vector<std::int64_t> stages;
  std::vector<FilePrecision> precisions;
  std::vector<Candidate> candidates;
  /// As measured before the first trial; 0 if it was not.
  SearchSpeed speed = {};
  /// For people: what was chosen or left out.
  std::vector<std::string> notes;
};

/// The adapter of a trial in a file of one precision.
struct MeasuredForm {
  FilePrecision precision = FilePrecision::kFloat32;
  std::uint64_t bytes = 0;
  /// Of the validation images.
  std::int64_t correct = 0;
};

/// What a trial had learned at the end of a stage.
struct StageResult {
  std::int64_t steps = 0;
  /// Of training and its validations, since the trial began.
  double seconds = 0;
  std::int64_t images = 0;  // of validation
  std::vector<MeasuredForm> forms;
};

struct TrialResult {
  /// One for each stage that it has completed.
  std::vector<StageResult> stages;
  /// Why it cannot go on; empty if it can.
  std::string error;
};

class SearchFolder {
 public:
  /// Throws UsageError if the folder contains other files than those of a search. It is created by the first lock.
  explicit SearchFolder(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path trial(std::size_t number) const;
  std::filesystem::path run(std::size_t number) const { return trial(number) / "run"; }
  /// The adapter of a trial after a stage, both counted from 0.
  std::filesystem::path adapter_file(std::size_t number, std::size_t stage) const;

  /// Held to create what exists once. While another process holds it, `waiting` is called as by FileLock.
  FileLock lock(const std::function<void()>& waiting) const;
  /// Removes the folder of a search without a plan. REQUIRES: the lock.
  void discard() const;
  /// Null if another process holds the trial.
  std::unique_ptr<FileLock> claim(std::size_t number) const;

  // Each throws Error if its file is damaged; what does not exist is absent, or a trial without results.
  std::optional<SearchPlan> plan() const;
  TrialResult result(std::size_t number) const;
  /// The trials of a stage after the first, of `candidates`.
  std::optional<std::vector<std::size_t>> promoted(std::size_t stage, std::size_t candidates) const;
  void write_plan(const SearchPlan& plan) const;
  void write_result(std::size_t number, const TrialResult& result) const;
  void write_promoted(std::size_t stage, const std::vector<std::size_t>& trials) const;

 private:
  std::filesystem::path path_;
};

}  // namespace lorikeet
