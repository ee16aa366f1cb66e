#include "engine/mixed_batch.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cassert>
#include <utility>

#include "engine/prepared_base.h"

namespace lorikeet {

MixedBatch::MixedBatch(const std::vector<const Network*>& networks, at::ScalarType precision,
                       std::shared_ptr<PreparedBase> prepared) {
  if (prepared == nullptr) prepared = std::make_shared<PreparedBase>();
  const std::vector<Plan> plans = plans_with_common_prefix(networks);
  for (std::size_t i = 0; i < networks.size(); ++i)
    executors_.push_back(
        make_fused_executor(*networks[i], {.precision = precision, .plan = plans[i], .prepared = prepared}));
}

std::vector<at::Tensor> MixedBatch::predict(const at::Tensor& images, const std::vector<std::size_t>& which) {
  assert(static_cast<std::size_t>(images.size(0)) == which.size());
  const at::NoGradGuard no_grad;
  const Frontier frontier = executors_.front()->run_prefix(images);
  std::vector<at::Tensor> out(which.size());
  for (std::size_t i = 0; i < executors_.size(); ++i) {
    std::vector<std::int64_t> rows;
    for (std::size_t row = 0; row < which.size(); ++row) {
      if (which[row] == i) rows.push_back(static_cast<std::int64_t>(row));
    }
    if (rows.empty()) continue;
    const at::Tensor index = at::tensor(rows).to(images.device());
    Frontier own;
    for (const at::Tensor& tensor : frontier) own.push_back(tensor.index_select(0, index));
    const at::Tensor logits = executors_[i]->run_suffix(std::move(own), /*training=*/false);
    for (std::size_t k = 0; k < rows.size(); ++k)
      out[static_cast<std::size_t>(rows[k])] = logits[static_cast<std::int64_t>(k)];
  }
  return out;
}

}  // namespace lorikeet
