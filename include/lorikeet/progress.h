// Callbacks of long operations, called on the thread that started the operation. An exception thrown by a callback ends
// the operation and propagates to the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lorikeet {

struct DownloadProgress {
  std::string file;
  /// In bytes.
  std::uint64_t done = 0;
  /// 0 if the server does not report it.
  std::uint64_t total = 0;
};

/// Called a few times a second. If it throws, the data received so far is kept and the next download resumes from it.
using DownloadCallback = std::function<void(const DownloadProgress&)>;

struct TrainProgress {
  /// "check" (of all images, with BadImages::kSkip), "train", "validate" or "test".
  std::string phase;
  std::int64_t epoch = 0;  // from 1
  std::int64_t epochs = 0;
  std::int64_t done = 0;  // images of this epoch or evaluation
  std::int64_t total = 0;
  double images_per_second = 0;  // recent
  double loss = 0;               // mean over this epoch so far
  double accuracy = 0;           // mean over this epoch so far
  double seconds_left = 0;       // until the end of training; 0 if not yet known
};

/// A completed epoch.
struct EpochProgress {
  std::int64_t epoch = 0;  // from 1
  std::int64_t epochs = 0;
  // Means over the training images.
  double loss = 0;
  double accuracy = 0;
  double seconds = 0;
  /// The part of `seconds` spent waiting for images.
  double data_wait_seconds = 0;
  double images_per_second = 0;
  /// Whether there are validation images.
  bool is_validated = false;
  double validation_loss = 0;
  double validation_accuracy = 0;
  /// Whether it is the best epoch so far by LoopOptions::best.
  bool is_best = false;
};

using EpochCallback = std::function<void(const EpochProgress&)>;

/// Called after every batch. Returning false stops training, which then returns the state reached so far; during the
/// check of the images, it throws Error.
using TrainCallback = std::function<bool(const TrainProgress&)>;

/// Called after every batch with the number of images processed and the total. Returning false stops the evaluation,
/// which then returns the result so far.
using EvaluateCallback = std::function<bool(std::int64_t, std::int64_t)>;

/// Receives a one-line message for the user.
using LogCallback = std::function<void(const std::string&)>;

}  // namespace lorikeet
