// Temporarily sets the number of threads that libtorch uses.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

namespace lorikeet {

/// Sets the process's number of compute threads and restores it on destruction. 0 changes nothing.
class ThreadCount {
 public:
  explicit ThreadCount(std::int64_t threads) : before_(at::get_num_threads()) {
    if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

}  // namespace lorikeet
