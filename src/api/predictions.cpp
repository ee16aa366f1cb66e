#include "api/predictions.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lorikeet {

std::vector<Prediction> top_predictions(std::span<const float> logits, const std::vector<std::string>& classes,
                                        std::size_t top) {
  const auto count = static_cast<std::int64_t>(logits.size());
  const at::Tensor row = at::from_blob(const_cast<float*>(logits.data()), {count}, at::kFloat);
  const auto [values, indices] = at::softmax(row, 0).topk(static_cast<std::int64_t>(std::min(top, logits.size())));
  std::vector<Prediction> out;
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    const auto index = indices[i].item<std::int64_t>();
    out.push_back({classes[static_cast<std::size_t>(index)], index, values[i].item<double>()});
  }
  return out;
}

void check_outputs(std::span<const float> logits, const std::string& image) {
  if (std::all_of(logits.begin(), logits.end(), [](float value) { return std::isfinite(value); })) return;
  fail(image,
       ": got NaN or infinity from the network, expected finite logits. The weights or the adapter are damaged.");
}

void check_top(std::size_t top, std::size_t most) {
  if (top < 1 || top > most) fail_usage("top: got ", top, ", expected 1 to ", most, ", the number of classes.");
}

}  // namespace lorikeet
