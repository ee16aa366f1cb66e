#include "api/guesses.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace lorikeet {

std::vector<Guess> best_guesses(std::span<const float> logits, const std::vector<std::string>& classes,
                                std::size_t top) {
  const auto count = static_cast<std::int64_t>(logits.size());
  const at::Tensor row = at::from_blob(const_cast<float*>(logits.data()), {count}, at::kFloat);
  const auto [values, indices] =
      at::softmax(row, 0).topk(std::min<std::int64_t>(static_cast<std::int64_t>(top), count));
  std::vector<Guess> out;
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    const auto index = indices[i].item<std::int64_t>();
    out.push_back({classes[static_cast<std::size_t>(index)], index, values[i].item<double>()});
  }
  return out;
}

}  // namespace lorikeet
