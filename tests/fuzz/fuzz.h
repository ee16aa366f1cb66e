// Common parts of the fuzz targets. A target reads the given bytes. A result or a lorikeet::Error is correct; anything
// else (another exception, a crash, a leak, a result that violates the reader's contract, excessive memory or time) is
// a finding.
#pragma once

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "io/named_tensors.h"
#include "lorikeet/error.h"

/// Calls `read`; whether it was not refused.
template <typename Read>
bool accepted(const Read& read) {
  try {
    read();
  } catch (const lorikeet::Error&) {
    return false;
  }
  return true;
}

/// A reader's promise that was broken.
inline void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// A file in memory for readers that accept only a path; rewritten for each input.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", 0)), path_("/proc/self/fd/" + std::to_string(descriptor_)) {}

  const std::string& hold(const std::uint8_t* data, std::size_t size) const {
    require(ftruncate(descriptor_, static_cast<off_t>(size)) == 0 &&
                pwrite(descriptor_, data, size, 0) == static_cast<ssize_t>(size),
            "the file in memory can be written");
    return path_;
  }

 private:
  int descriptor_;
  std::string path_;
};

/// All of a tensor's bytes can be read.
inline void check_bytes(const at::Tensor& tensor) {
  require(__asan_region_is_poisoned(tensor.mutable_data_ptr(), tensor.nbytes()) == nullptr,
          "a tensor's bytes are its own");
}

/// Every tensor is plain, and all of its bytes can be read.
inline void check_tensors(const lorikeet::NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    require(tensor.is_contiguous() && tensor.device().is_cpu(), "tensors are contiguous");
    check_bytes(tensor);
  }
}
