// Runs single images in batches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>

namespace lorikeet {

/// Calls `image` for indices 0 … count − 1 in order, each (1, 3, H, W). Consecutive images of one size are run
/// together, at most `largest` at a time: run(index of the first, (N, 3, H, W)).
void run_in_batches(std::size_t count, std::size_t largest, const std::function<at::Tensor(std::size_t)>& image,
                    const std::function<void(std::size_t, const at::Tensor&)>& run);

}  // namespace lorikeet
