#include "train/loop.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/prefix_cache.h"
#include "engine/tensor_type.h"
#include "image/transform.h"
#include "train/caching.h"
#include "train/optimizer.h"

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kCheckpointSeconds = 60;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One batch, where a step starts: the frontier of the plan, and what should come out.
struct Work {
  Frontier frontier;
  at::Tensor labels;
};

// Batches of one epoch: read and run through the frozen prefix, or taken from the cache of it. The cache has a row for
// each image of each view, view after view.
class EpochSource {
 public:
  EpochSource(Executor& executor, const LoopData& data, const Recipe& recipe, PrefixCache* cache, std::int64_t epoch)
      : executor_(executor), data_(data), device_(tensor_device(recipe.machine.device)), cache_(cache),
        batch_size_(recipe.loop.batch_size),
        order_(epoch_order(data.train->size(), recipe.loop.shuffle, recipe.loop.seed, epoch)) {
    const std::int64_t views = view_count(recipe.data);
    const std::int64_t view = views > 0 ? epoch % views : epoch;
    first_row_ = view * data.train->size();
    if (cache_ != nullptr && cache_->complete()) return;
    loader_.emplace(augmented(data.train, data.preprocessing, recipe.data.augmentation, recipe.loop.seed, view), order_,
                    LoaderOptions{.batch_size = batch_size_});
  }

  bool next(Work& work, double& wait_seconds) {
    if (!loader_) return next_cached(work);
    const auto start = Clock::now();
    Batch batch;
    const bool more = loader_->next(batch);
    wait_seconds += seconds_since(start);
    if (!more) return false;
    work.frontier = executor_.run_prefix(normalise(batch.images.to(device_), data_.preprocessing));
    if (cache_ != nullptr) cache_->store(batch.indices + first_row_, batch.labels, work.frontier);
    work.labels = batch.labels.to(device_);
    return true;
  }

 private:
  bool next_cached(Work& work) {
    const auto size = static_cast<std::int64_t>(order_.size());
    if (position_ >= size) return false;
    const std::int64_t count = std::min(batch_size_, size - position_);
    const at::Tensor rows = at::from_blob(order_.data() + position_, {count}, at::kLong) + first_row_;
    work.frontier = cache_->load(rows);
    work.labels = cache_->labels().index_select(0, rows).to(device_);
    position_ += count;
    return true;
  }

  Executor& executor_;
  const LoopData& data_;
  at::Device device_;
  PrefixCache* cache_;
  std::int64_t batch_size_;
  std::vector<std::int64_t> order_;
  std::int64_t first_row_ = 0;
  std::int64_t position_ = 0;
  std::optional<Loader> loader_;
};

// Images of a second or so, for the speed that is shown.
class Speed {
 public:
  void add(std::int64_t images) {
    images_ += images;
    const double seconds = seconds_since(start_);
    if (seconds < 1 && rate_ > 0) return;
    rate_ = static_cast<double>(images_) / std::max(seconds, 1e-9);
    images_ = 0;
    start_ = Clock::now();
  }
  double rate() const { return rate_; }

 private:
  Clock::time_point start_ = Clock::now();
  std::int64_t images_ = 0;
  double rate_ = 0;
};

class TrainingLoop {
 public:
  TrainingLoop(Network& network, Executor& executor, const LoopData& data, const Recipe& recipe, const LoopHooks& hooks)
      : network_(network), executor_(executor), data_(data), recipe_(recipe), hooks_(hooks),
        optimizer_(leaves(network), recipe.optimizer), budget_(cache_budget(recipe)) {
    const std::int64_t steps_per_epoch = (data.train->size() + recipe.loop.batch_size - 1) / recipe.loop.batch_size;
    total_steps_ = recipe.loop.epochs * steps_per_epoch;
    if (recipe.loop.max_steps > 0) total_steps_ = std::min(total_steps_, recipe.loop.max_steps);
    const std::int64_t views = view_count(recipe.data);
    if (views > 0 && total_steps_ > views * steps_per_epoch) train_cache_ = make_cache(views * data.train->size());
    if (total_steps_ > steps_per_epoch && data.validation) validation_cache_ = make_cache(data.validation->size());
    out_.cached_prefix = train_cache_ != nullptr;
  }

  TrainReport run() {
    start_ = last_checkpoint_ = Clock::now();
    for (std::int64_t epoch = 1; epoch <= recipe_.loop.epochs && out_.steps < total_steps_ && !out_.interrupted;
         ++epoch) {
      train_epoch(epoch);
      if (out_.interrupted) break;
      out_.epochs = epoch;
      const bool go_on = end_epoch(epoch);
      if (!out_.interrupted) hooks_.checkpoint();
      if (!go_on) break;
    }
    if (!best_.empty()) network_.load_adapter_tensors(best_);
    out_.seconds = seconds_since(start_);
    return out_;
  }

 private:
  static std::vector<at::Tensor> leaves(const Network& network) {
    std::vector<at::Tensor> out;
    for (auto& [name, tensor] : network.trainable()) out.push_back(tensor);
    return out;
  }

  // A cache for the prefix's outputs, where all images have one size and it fits into the recipe's memory or file.
  std::unique_ptr<PrefixCache> make_cache(std::int64_t images) {
    if (data_.preprocessing.crop == 0) return nullptr;
    const std::uint64_t each =
        frontier_bytes(executor_.plan(), network_.graph(), image_cost(recipe_, data_.preprocessing));
    const double bytes = static_cast<double>(each) * static_cast<double>(images);
    if (bytes <= budget_.memory) {
      budget_.memory -= bytes;
      return std::make_unique<PrefixCache>(images);
    }
    if (bytes > budget_.disk) return nullptr;
    budget_.disk -= bytes;
    return std::make_unique<PrefixCache>(images, recipe_.run);
  }

  void train_epoch(std::int64_t epoch) {
    EpochSource source(executor_, data_, recipe_, train_cache_.get(), epoch - 1);
    double loss_sum = 0;
    std::int64_t correct = 0;
    std::int64_t done = 0;
    const auto epoch_start = Clock::now();
    const double waited_before = out_.data_wait_seconds;
    for (Work work; out_.steps < total_steps_ && source.next(work, out_.data_wait_seconds);) {
      const double rate = scheduled_learning_rate(recipe_.optimizer, out_.steps, total_steps_);
      const at::Tensor logits = executor_.run_suffix(std::move(work.frontier), /*training=*/true);
      const at::Tensor loss = at::cross_entropy_loss(logits, work.labels, {}, at::Reduction::Mean,
                                                     /*ignore_index=*/-100, recipe_.loop.label_smoothing);
      const double value = loss.item<double>();
      if (!std::isfinite(value)) {
        fail("training: got a loss of ", value, " at step ", out_.steps + 1,
             ", expected a finite one. Lower learning_rate, or set clip_grad_norm.");
      }
      loss.backward();
      const double norm = optimizer_.step(rate);

      const std::int64_t count = work.labels.size(0);
      ++out_.steps;
      out_.images += count;
      done += count;
      loss_sum += value * static_cast<double>(count);
      correct += (logits.detach().argmax(1) == work.labels).sum().item<std::int64_t>();
      speed_.add(count);
      Json line{{"step", out_.steps},
                {"epoch", epoch},
                {"loss", value},
                {"learning_rate", rate},
                {"seconds", seconds_since(start_)}};
      if (recipe_.optimizer.clip_grad_norm > 0) line["grad_norm"] = norm;
      hooks_.metrics(line);

      out_.loss = loss_sum / static_cast<double>(done);
      out_.accuracy = static_cast<double>(correct) / static_cast<double>(done);
      if (!report("train", epoch, done, data_.train->size())) {
        out_.interrupted = true;
        return;
      }
      if (seconds_since(last_checkpoint_) > kCheckpointSeconds) {
        hooks_.checkpoint();
        last_checkpoint_ = Clock::now();
      }
    }
    epoch_seconds_ = seconds_since(epoch_start);
    epoch_wait_ = out_.data_wait_seconds - waited_before;
  }

  // Validates and writes the epoch down; false where training should end.
  bool end_epoch(std::int64_t epoch) {
    Json line{
        {"epoch", epoch}, {"train_loss", out_.loss}, {"train_accuracy", out_.accuracy}, {"seconds", epoch_seconds_}};
    std::string text = cat("epoch ", epoch, "/", recipe_.loop.epochs, ": loss ", fixed(out_.loss, 4), ", accuracy ",
                           fixed(out_.accuracy, 4));
    bool go_on = true;
    if (data_.validation) {
      const EvaluationResult found = evaluate(executor_, data_.validation, data_.preprocessing,
                                              {.device = tensor_device(recipe_.machine.device),
                                               .cache = validation_cache_.get(),
                                               .progress = [&](std::int64_t done, std::int64_t total) {
                                                 out_.interrupted = !report("validate", epoch, done, total);
                                                 return !out_.interrupted;
                                               }});
      if (out_.interrupted) return false;
      line["validation_loss"] = found.loss;
      line["validation_accuracy"] = found.accuracy();
      text += cat(", validation accuracy ", fixed(found.accuracy(), 4));
      go_on = keep_best(found);
    }
    text += cat(", ", clock(epoch_seconds_), " (data wait ", fixed(epoch_wait_, 1), " s)");
    hooks_.metrics(line);
    hooks_.log(text);
    if (!go_on)
      hooks_.log(cat("stopped early: no better validation accuracy in ", recipe_.loop.early_stop,
                     " epochs; the best epoch is kept"));
    return go_on;
  }

  bool keep_best(const EvaluationResult& found) {
    if (recipe_.loop.early_stop == 0) {
      out_.validation = found;
      return true;
    }
    if (best_.empty() || found.accuracy() > out_.validation.accuracy()) {
      out_.validation = found;
      epochs_without_gain_ = 0;
      best_ = NamedTensors();
      for (const auto& [name, tensor] : network_.adapter_tensors()) best_.add(name, tensor.clone());
      return true;
    }
    return ++epochs_without_gain_ < recipe_.loop.early_stop;
  }

  bool report(const char* phase, std::int64_t epoch, std::int64_t done, std::int64_t total) {
    if (!hooks_.progress) return true;
    const double elapsed = seconds_since(start_);
    TrainProgress progress{phase, epoch, recipe_.loop.epochs, done, total, speed_.rate(), out_.loss, out_.accuracy, 0};
    if (speed_.rate() > 0 && elapsed > 1) {
      progress.seconds_left =
          static_cast<double>((total_steps_ - out_.steps) * recipe_.loop.batch_size) / speed_.rate();
    }
    return hooks_.progress(progress);
  }

  Network& network_;
  Executor& executor_;
  const LoopData& data_;
  const Recipe& recipe_;
  const LoopHooks& hooks_;
  Optimizer optimizer_;
  std::unique_ptr<PrefixCache> train_cache_;
  std::unique_ptr<PrefixCache> validation_cache_;
  CacheBudget budget_;  // what is left of it
  std::int64_t total_steps_ = 0;
  std::int64_t epochs_without_gain_ = 0;
  NamedTensors best_;
  Speed speed_;
  double epoch_seconds_ = 0;
  double epoch_wait_ = 0;
  Clock::time_point start_;
  Clock::time_point last_checkpoint_;
  TrainReport out_;
};

}  // namespace

TrainReport run_training(Network& network, Executor& executor, const LoopData& data, const Recipe& recipe,
                         const LoopHooks& hooks) {
  return TrainingLoop(network, executor, data, recipe, hooks).run();
}

}  // namespace lorikeet
