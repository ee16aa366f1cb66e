// Finds the smallest file of an adapter (adapters/adapter_file.h) whose accuracy on validation images is within a given
// loss of the given adapter's. Test images are never used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "fetch/download.h"
#include "loading/loaded_model.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct CompressOptions {
  /// Largest loss of accuracy, as a share: 0.001 is 0.1 percentage points.
  double max_loss = 0.001;
  /// Name or folder of the data; empty: that of the adapter's training.
  std::string data;
  /// Most images that are used; 0: all.
  std::int64_t limit = 0;
  /// Receives the number of images of the form that is evaluated. Returns false to stop.
  EvaluateCallback progress = {};
  DownloadCallback download = {};
  LogCallback log = {};
};

/// A form of the file that was tried.
struct TriedForm {
  /// "int8", or "int4, but fc.weight int3".
  std::string name;
  std::uint64_t bytes = 0;
  std::int64_t correct = 0;
  bool is_within_loss = false;
};

struct CompressedAdapter {
  EncodedAdapter best;
  std::string best_name;
  /// In the order in which they were tried, each once; the first is a file as given, or a folder in float32.
  std::vector<TriedForm> tried;
  /// "validation", or "training" where there are no validation images.
  std::string split;
  std::int64_t images = 0;
  std::int64_t correct_before = 0;
  std::int64_t correct_after = 0;
  /// 95 % interval of the change of accuracy, as shares, from the images of which only one of the two is right (Agresti
  /// and Min, 2005).
  double change_low = 0;
  double change_high = 0;
};

/// Finds the lowest uniform precision, then lowers that of one group of tensors after another, those with the least
/// loss for each byte saved first. The frozen part of the network runs once. The network keeps its values. Throws Error
/// if the model has no adapter, or there are no images with its classes.
CompressedAdapter compress_adapter(LoadedModel& model, const CompressOptions& options);

}  // namespace lorikeet
