// Tensors' memory, used again from step to step. A training step asks for the same large buffers every time; from the
// system, each comes page by page and zeroed, which takes a fifth of a step at 224 pixels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lorikeet {

/// From now on, CPU tensors of 4 MiB and more take their memory, in huge pages of 2 MiB, from a pool. What the pool
/// holds and what is in use never come to more than the most that was in use at once. Once a process; safe for several
/// threads afterwards.
void reuse_buffers();

struct PoolUse {
  std::uint64_t live = 0;      // bytes in use
  std::uint64_t peak = 0;      // the most there ever were
  std::uint64_t held = 0;      // bytes kept for later
  std::uint64_t requests = 0;  // for large buffers
  std::uint64_t reused = 0;    // those of them that the pool had in one piece
};

/// All zero if reuse_buffers() was never called.
PoolUse pool_use();

}  // namespace lorikeet
