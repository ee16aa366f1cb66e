// The report of a training run, and of several runs side by side: one HTML file each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/published.h"

namespace lorikeet {

/// A name and its value, as texts. `reason` may be empty.
struct Fact {
  std::string name;
  std::string value;
  std::string reason = {};
};

/// The curves of a run.
struct Curves {
  struct Step {
    double epoch = 0;  // fraction of epochs done
    double loss = 0;
    double learning_rate = 0;
  };
  struct Epoch {
    double epoch = 0;
    double loss = 0;
    double accuracy = 0;
    std::optional<double> validation_loss = {};
    std::optional<double> validation_accuracy = {};
  };
  std::vector<Step> steps;
  std::vector<Epoch> epochs;
};

struct ClassRow {
  std::string name;
  std::int64_t total = 0, predicted = 0;
  double precision = 0, recall = 0, f1 = 0;
  double recall_low = 0, recall_high = 1;  // 95 % interval
};

struct MistakeImage {
  std::string data_uri;   // data:image/jpeg;base64,…
  bool is_small = false;  // enlarged, with visible pixels
  std::string label, predicted;
  double probability = 0;
  std::string source;  // the file
};

/// A layer with parameters, in the order of the network.
struct LayerMark {
  enum class State { kFrozen, kAdapted, kTrained, kBias };
  std::string name;
  std::string operation;
  std::int64_t parameters = 0;
  /// Parameters that are trained: of its adapter, or its own.
  std::int64_t trained = 0;
  State state = State::kFrozen;
};

struct SizeRow {
  std::string what;
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
};

struct RunPage {
  std::string title;
  std::string subtitle;
  std::vector<Fact> headline;
  Curves curves;
  /// "test" or "validation"; empty without an evaluation.
  std::string split;
  std::vector<Fact> metrics;
  std::vector<ClassRow> classes;
  /// Labels and counts of confusion_chart(); empty with more than 100 classes.
  std::vector<std::string> confusion_labels;
  std::vector<std::int64_t> confusion;
  std::vector<MistakeImage> mistakes;
  std::vector<LayerMark> layers;
  /// The complete model first.
  std::vector<SizeRow> sizes;
  std::vector<Fact> choices;
  std::vector<std::string> notes;
  std::vector<Fact> machine;
  std::string recipe;  // YAML
};

/// The facts as tiles.
std::string fact_tiles(const std::vector<Fact>& facts);

std::string run_page_html(const RunPage& report);

/// A run in a comparison, with what was published for its configuration. Texts may be empty.
struct ComparedRun {
  std::string title;
  std::string reported_trainable;
  std::optional<double> reported_accuracy;
  std::int64_t trainable = 0;
  std::optional<double> accuracy;
  double accuracy_low = 0, accuracy_high = 1;
  /// Of adapter.lorikeet, if its precision is not float32.
  std::optional<double> file_accuracy;
  std::optional<double> macro_f1;
  double seconds = 0;
  double images_per_second = 0;
  /// `file_bytes`: of adapter.lorikeet; 0 if there is none.
  std::uint64_t model_bytes = 0, adapter_bytes = 0, folder_bytes = 0, file_bytes = 0;
  Curves curves;
};

/// With the published results in the plot of accuracy by bytes.
std::string compare_page_html(const std::vector<ComparedRun>& runs, const std::vector<PublishedResult>& published);

}  // namespace lorikeet
