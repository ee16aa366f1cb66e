// Callbacks of long operations. They are called on the thread that called the operation. An exception that one throws
// ends the operation and leaves the library unchanged.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lorikeet {

struct DownloadProgress {
  std::string file;
  /// In bytes.
  std::uint64_t done = 0;
  /// 0 where the server does not say.
  std::uint64_t total = 0;
};

/// Called a few times a second. What has arrived when it throws is kept for the next attempt.
using DownloadCallback = std::function<void(const DownloadProgress&)>;

struct TrainProgress {
  /// "train", "validate" or "test".
  std::string phase;
  std::int64_t epoch = 0;  // from 1
  std::int64_t epochs = 0;
  std::int64_t done = 0;  // images of this epoch or evaluation
  std::int64_t total = 0;
  double images_per_second = 0;  // lately
  double loss = 0;               // mean over this epoch
  double accuracy = 0;           // likewise
  double seconds_left = 0;       // of the training; 0 where it is not known yet
};

/// Called after every batch. False asks training to stop: it keeps what there is and returns.
using TrainCallback = std::function<bool(const TrainProgress&)>;

/// Called after every batch with the number of images done and in total. False stops: the result so far is returned.
using EvaluateCallback = std::function<bool(std::int64_t, std::int64_t)>;

/// Called with a line for people.
using LogCallback = std::function<void(const std::string&)>;

}  // namespace lorikeet
