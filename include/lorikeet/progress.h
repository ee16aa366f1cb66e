// What long work says of itself while it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lorikeet {

struct DownloadProgress {
  std::string file;
  std::uint64_t done = 0;
  /// 0 where the server does not say.
  std::uint64_t total = 0;
};

/// Called a few times a second; may throw to abort, which keeps what has arrived for the next try.
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
  double seconds_left = 0;       // of training in all; 0 where it cannot be said yet
};

/// Called after every batch. False asks training to stop: it saves what there is and returns.
using TrainCallback = std::function<bool(const TrainProgress&)>;

/// Called after every batch with images done and in all. False stops: what was counted so far is returned.
using EvaluateCallback = std::function<bool(std::int64_t, std::int64_t)>;

}  // namespace lorikeet
