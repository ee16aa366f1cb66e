// Collects what the report of a run (report/run_report.h) shows.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "data/dataset.h"
#include "engine/plan.h"
#include "report/run_report.h"
#include "train/recipe.h"
#include "train/train.h"

namespace lorikeet {

struct ReportedRun {
  const Recipe& recipe;
  const TrainSummary& summary;
  const Adaptation& adaptation;
  const Plan& plan;
  /// "resnet50.v1", or the name of a file.
  std::string weights;
  Preprocessing preprocessing = {};
  /// The evaluated images; may be null.
  std::shared_ptr<const Dataset> evaluated;
  /// "test" or "validation".
  std::string split;
  /// What was logged before training.
  std::vector<std::string> notes;
  /// metrics.jsonl.
  std::filesystem::path metrics;
};

RunPage make_run_page(const ReportedRun& run);

/// Reads the curves of a metrics.jsonl. Lines that are no metrics, such as the half line of a killed process, are left
/// out. Empty if the file is missing or larger than 256 MiB.
Curves read_curves(const std::filesystem::path& metrics);

}  // namespace lorikeet
