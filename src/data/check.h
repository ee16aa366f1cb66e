// A check of a dataset before training: every image is decoded, and compared with the others by its pixels.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/each_index.h"
#include "data/splits.h"

namespace lorikeet {

struct SplitReport {
  /// "train", "val" or "test".
  std::string name;
  std::int64_t images = 0;
  /// One number per class.
  std::vector<std::int64_t> by_class;
  /// The smallest and the largest, in pixels; 0 if no image can be read.
  std::array<std::int64_t, 2> width{0, 0}, height{0, 0};
};

struct UnreadableImage {
  std::string image;
  std::string problem;
};

/// Images with the same pixels, "train: FOLDER/a.jpg".
using SameImages = std::vector<std::string>;

struct DataReport {
  std::vector<std::string> classes;
  std::vector<SplitReport> splits;
  std::vector<UnreadableImage> unreadable;
  /// Of the data's structure (OpenOptions::faults).
  std::vector<std::string> faults;
  /// In several splits.
  std::vector<SameImages> leaks;
  /// With several labels. A group may be in `leaks` too.
  std::vector<SameImages> conflicts;
  /// In one split, with one label.
  std::vector<SameImages> duplicates;
  /// The largest class of train by the smallest; 1 if all are equal, 0 without train.
  double imbalance = 0;

  /// Whether nothing is wrong: no unreadable images, structural faults, leaks or conflicts.
  bool ok() const { return faults.empty() && unreadable.empty() && leaks.empty() && conflicts.empty(); }
};

/// Checks all splits on `threads` threads; 0: one for each core. Returns what was found up to a stop.
DataReport check_data(const Splits& splits, int threads, const ImagesCallback& progress);

}  // namespace lorikeet
