// Images one by one, run as batches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>

namespace lorikeet {

/// Asks for image 0 … count − 1, (1, 3, H, W), once each and in order; those of one size that follow one another are
/// run together, `largest` at most: run(number of the first, (N, 3, H, W)).
void run_in_batches(std::size_t count, std::size_t largest, const std::function<at::Tensor(std::size_t)>& image,
                    const std::function<void(std::size_t, const at::Tensor&)>& run);

}  // namespace lorikeet
