#include "api/batches.h"

#include <ATen/Functions.h>

#include <utility>
#include <vector>

namespace lorikeet {

void run_in_batches(std::size_t count, std::size_t largest, const std::function<at::Tensor(std::size_t)>& image,
                    const std::function<void(std::size_t, const at::Tensor&)>& run) {
  std::size_t first = 0;
  std::vector<at::Tensor> batch;
  const auto run_batch = [&] {
    run(first, at::cat(batch));
    first += batch.size();
    batch.clear();
  };
  for (std::size_t i = 0; i < count; ++i) {
    at::Tensor next = image(i);
    if (!batch.empty() && (batch.size() == largest || next.sizes() != batch.front().sizes())) run_batch();
    batch.push_back(std::move(next));
  }
  if (!batch.empty()) run_batch();
}

}  // namespace lorikeet
