// Reads the images of a dataset on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <vector>

namespace lorikeet {

/// Calls `visit` for 0 … count − 1 on `threads` threads, each index once, in any order. Throws what a call throws,
/// after the other threads have ended.
template <typename Visit>
void for_each_index(std::int64_t count, std::int64_t threads, const Visit& visit) {
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    for (std::int64_t index = next++; index < count; index = next++) visit(index);
  };
  std::vector<std::future<void>> workers;
  for (std::int64_t i = 0; i < std::min(threads, count); ++i) workers.push_back(std::async(std::launch::async, work));
  for (auto& worker : workers) worker.wait();
  for (auto& worker : workers) worker.get();
}

}  // namespace lorikeet
