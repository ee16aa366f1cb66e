// The failure of a training that does not get the memory that its estimate promised.
#pragma once

#include <cstdint>

#include "train/footprint.h"

namespace lorikeet {

/// REQUIRES: called in a catch block. If the exception is a failed allocation, throws Error with the memory that the
/// run needs and the largest batch size that fits the memory which it got; otherwise rethrows the exception.
[[noreturn]] void rethrow_out_of_memory(const PlannedRun& run);
/// The same for a process that got `got` bytes.
[[noreturn]] void rethrow_out_of_memory(const PlannedRun& run, std::uint64_t got);

}  // namespace lorikeet
