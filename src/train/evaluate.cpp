#include "train/evaluate.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "data/loader.h"
#include "engine/memory.h"
#include "image/transform.h"

namespace lorikeet {

std::pair<std::int64_t, std::int64_t> image_size(const Dataset& dataset, const Preprocessing& preprocessing) {
  if (preprocessing.crop > 0) return {preprocessing.crop, preprocessing.crop};
  const at::Tensor image = prepare(dataset.get(0).image, preprocessing);
  return {image.size(1), image.size(2)};
}

std::int64_t evaluation_batch(const Graph& graph, const Dataset& dataset, const Preprocessing& preprocessing) {
  const auto [height, width] = image_size(dataset, preprocessing);
  return evaluation_batch(graph, height, width);
}

EvaluationResult evaluate(Executor& executor, const std::shared_ptr<const Dataset>& dataset,
                          const Preprocessing& preprocessing, const EvaluationOptions& options) {
  const at::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  EvaluationResult out;
  out.correct_by_class.resize(dataset->classes().size());
  out.total_by_class.resize(dataset->classes().size());
  const std::vector<std::int64_t> order = epoch_order(dataset->size(), /*shuffle=*/false, 0, 0);
  const bool cached = options.cache != nullptr && options.cache->complete();

  // Returns false to stop.
  const auto count = [&](const at::Tensor& logits, const at::Tensor& labels) {
    out.loss += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum).item<double>();
    if (!std::isfinite(out.loss)) {
      fail(
          "evaluation: got a loss of ", out.loss, " among the first ", out.total + labels.size(0),
          " images, expected a finite one. The weights or the adapter are damaged, or the learning_rate was too high.");
    }
    const at::Tensor hits = (logits.argmax(1) == labels).to(at::kCPU);
    const at::Tensor where = labels.to(at::kCPU);
    for (std::int64_t i = 0; i < hits.size(0); ++i) {
      const auto label = static_cast<std::size_t>(where[i].item<std::int64_t>());
      ++out.total_by_class[label];
      if (hits[i].item<bool>()) ++out.correct_by_class[label];
    }
    out.correct += hits.sum().item<std::int64_t>();
    out.total += hits.size(0);
    return !options.progress || options.progress(out.total, dataset->size());
  };

  if (cached) {
    const at::Tensor labels = options.cache->labels();
    for (std::int64_t begin = 0; begin < dataset->size(); begin += options.batch_size) {
      const at::Tensor indices = at::arange(begin, std::min(begin + options.batch_size, dataset->size()), at::kLong);
      if (!count(executor.run_suffix(options.cache->load(indices), false),
                 labels.index_select(0, indices).to(options.device)))
        break;
    }
  } else {
    Loader loader(prepared(dataset, preprocessing), order, {.batch_size = options.batch_size});
    for (Batch batch; loader.next(batch);) {
      Frontier frontier = executor.run_prefix(normalise(batch.images.to(options.device), preprocessing));
      if (options.cache != nullptr) options.cache->store(batch.indices, batch.labels, frontier);
      if (!count(executor.run_suffix(std::move(frontier), false), batch.labels.to(options.device))) break;
    }
  }
  out.loss /= std::max<std::int64_t>(1, out.total);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace lorikeet
