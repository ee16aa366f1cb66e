// Reads the images of a dataset on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <vector>

namespace lorikeet {

/// Receives the numbers of images that are done and of all; returns false to stop.
using ImagesCallback = std::function<bool(std::int64_t done, std::int64_t total)>;

/// Calls `visit` for 0 … count − 1 on `threads` threads, each index once, in any order, and `progress`, if there is
/// one, about ten times a second on this thread. Throws what a call throws, after the other threads have ended; they
/// begin no further index. Returns false if `progress` stopped it.
template <typename Visit>
bool for_each_index(std::int64_t count, std::int64_t threads, const Visit& visit, const ImagesCallback& progress = {}) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  std::atomic<std::int64_t> next = 0, done = 0;
  const auto work = [&] {
    try {
      for (std::int64_t index = next++; index < count; index = next++) {
        visit(index);
        ++done;
      }
    } catch (...) {
      next = count;
      throw;
    }
  };
  std::vector<std::future<void>> workers;  // whose destructors wait
  for (std::int64_t i = 0; i < std::min(threads, count); ++i) workers.push_back(std::async(std::launch::async, work));
  bool goes_on = true;
  for (auto& worker : workers) {
    while (progress && goes_on) {
      try {
        goes_on = progress(done, count);
      } catch (...) {
        next = count;
        throw;
      }
      if (!goes_on) next = count;
      if (worker.wait_for(kInterval) == std::future_status::ready) break;
    }
    worker.wait();
  }
  for (auto& worker : workers) worker.get();
  return goes_on;
}

}  // namespace lorikeet
