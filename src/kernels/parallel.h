// Runs parts of a range on libtorch's threads.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

#ifdef __SANITIZE_THREAD__
#include <algorithm>
#include <thread>
#include <vector>
#endif

namespace lorikeet {

/// Calls run(begin, end) for disjoint parts of [0, count), in parallel if it has more than `grain` elements.
template <typename Run>
void parallel_for(std::int64_t count, std::int64_t grain, const Run& run) {
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer does not see the synchronisation in libgomp and would report every parallel loop.
  const std::int64_t parts = std::min<std::int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  if (parts == 1) run(0, count);
  if (parts <= 1) return;
  std::vector<std::thread> threads;
  for (std::int64_t i = 0; i < parts; ++i)
    threads.emplace_back([&, i] { run(count * i / parts, count * (i + 1) / parts); });
  for (std::thread& thread : threads) thread.join();
#else
  at::parallel_for(0, count, grain, run);
#endif
}

}  // namespace lorikeet
