#include "train/evaluate.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/memory.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

constexpr std::size_t kConfusionClasses = 1000;
constexpr std::size_t kMistakes = 24;

void add_mistake(const Mistake& mistake, std::vector<Mistake>& to) {
  const auto place = std::upper_bound(to.begin(), to.end(), mistake,
                                      [](const Mistake& a, const Mistake& b) { return a.probability > b.probability; });
  to.insert(place, mistake);
  if (to.size() > kMistakes) to.pop_back();
}

// Adds the images of a batch, which follow the `out.total` before them.
void count_batch(const at::Tensor& logits, const at::Tensor& labels, EvaluationResult& out) {
  const auto columns = static_cast<std::size_t>(logits.size(1));
  const at::Tensor predictions = logits.argmax(1).to(at::kCPU);
  const at::Tensor highest = logits.to(at::kDouble).softmax(1).amax(1).to(at::kCPU).contiguous();
  const at::Tensor values = logits.to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor targets = labels.to(at::kCPU, at::kLong).contiguous();
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    const auto label = static_cast<std::size_t>(targets.const_data_ptr<std::int64_t>()[i]);
    const auto predicted = static_cast<std::size_t>(predictions.const_data_ptr<std::int64_t>()[i]);
    const double probability = highest.const_data_ptr<double>()[i];
    const float* row = values.const_data_ptr<float>() + static_cast<std::size_t>(i) * columns;
    // Equal logits rank in the order of the classes, as argmax has them.
    std::int64_t rank = std::count_if(row, row + columns, [own = row[label]](float value) { return value > own; });
    rank += std::count(row, row + label, row[label]);
    const auto bin = static_cast<std::size_t>(
        std::clamp<double>(std::ceil(probability * EvaluationResult::kBins) - 1, 0, EvaluationResult::kBins - 1));
    ++out.total;
    ++out.total_by_class[label];
    ++out.predicted_by_class[predicted];
    ++out.total_by_bin[bin];
    out.probability_by_bin[bin] += probability;
    if (!out.confusion.empty()) ++out.confusion[label * out.total_by_class.size() + predicted];
    if (rank < 5) ++out.correct_top5;
    if (predicted == label) {
      ++out.correct;
      ++out.correct_by_class[label];
      ++out.correct_by_bin[bin];
    } else {
      add_mistake({out.total - 1, static_cast<std::int64_t>(label), static_cast<std::int64_t>(predicted), probability},
                  out.mistakes);
    }
  }
}

}  // namespace

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
  const std::size_t classes = dataset->classes().size();
  out.correct_by_class.resize(classes);
  out.total_by_class.resize(classes);
  out.predicted_by_class.resize(classes);
  if (classes <= kConfusionClasses) out.confusion.resize(classes * classes);
  const std::vector<std::int64_t> order = epoch_order(dataset->size(), /*shuffle=*/false, 0, 0);
  const bool cached = options.cache != nullptr && options.cache->complete();

  // Returns false to stop.
  const auto count = [&](const at::Tensor& logits, const at::Tensor& labels) {
    out.loss += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum).item<double>();
    if (!std::isfinite(out.loss)) {
      fail("evaluation: got a loss of ", out.loss, " among the first ", counted(out.total + labels.size(0), "image"),
           ", expected a finite one. The weights or the adapter are damaged, or the learning_rate was too high.");
    }
    count_batch(logits, labels, out);
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
