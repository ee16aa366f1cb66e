#include "train/session.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "data/loader.h"
#include "engine/prefix_cache.h"
#include "engine/tensor_type.h"
#include "engine/threads.h"
#include "train/caching.h"
#include "train/class_balance.h"
#include "train/diverged.h"
#include "train/epoch_source.h"
#include "train/metrics.h"
#include "train/ranges.h"
#include "train/recipe.h"
#include "train/time_budget.h"

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<at::Tensor> leaves(const Network& network) {
  std::vector<at::Tensor> out;
  for (auto& [name, tensor] : network.trainable()) out.push_back(tensor);
  return out;
}

void require_same(const char* what, std::int64_t found, std::int64_t expected) {
  if (found != expected) fail("training state: got ", what, " ", found, ", expected ", expected, ", as in this run.");
}

void require_within(const char* what, std::int64_t found, std::int64_t most) {
  if (found < 0 || found > most) fail("training state: got ", what, " ", found, ", expected 0 to ", most, ".");
}

// Throws Error unless `tensors` have the names and shapes of `own`.
void require_same(const NamedTensors& tensors, const NamedTensors& own) {
  require_same("a number of tensors of", static_cast<std::int64_t>(tensors.size()),
               static_cast<std::int64_t>(own.size()));
  for (const auto& [name, tensor] : own) {
    const at::Tensor* found = tensors.find(name);
    if (found == nullptr) fail("training state: got no ", name, ", expected one, as in this run.");
    if (found->sizes() != tensor.sizes()) {
      fail("training state: ", name, ": got ", shape_text(found->sizes()), ", expected ", shape_text(tensor.sizes()),
           ", as in this run.");
    }
  }
}

}  // namespace

struct TrainingSession::Parts {
  // Images of about the last second, for the displayed speed.
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

  Network& network;
  Executor& executor;
  LoopData data;
  TrainingOptions options;
  LoopHooks hooks;
  SessionOptions session;
  ThreadCount threads;
  at::Tensor class_weights;          // undefined: none
  std::vector<std::int64_t> labels;  // of the training images, for balanced sampling
  std::vector<at::Tensor> parameters;
  Optimizer optimizer;
  TrainingState now;  // except the tensors of network and optimizer
  std::int64_t images_per_epoch = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t most_steps = 0;  // with a budget
  std::unique_ptr<PrefixCache> train_cache;
  std::unique_ptr<PrefixCache> validation_cache;
  std::optional<EpochSource> source;  // of the current epoch
  bool reads_cache = false;           // the current epoch, as EpochStart has it
  bool interrupted = false;
  Speed speed;
  Clock::time_point start = Clock::now();
  Clock::time_point last_checkpoint = Clock::now();
  double seconds_before = 0;  // of earlier sessions
  std::optional<TimeBudget> budget;

  Parts(Network& network_of, Executor& executor_of, LoopData data_of, TrainingOptions options_of, LoopHooks hooks_of,
        SessionOptions session_of)
      : network(network_of), executor(executor_of), data(std::move(data_of)), options(std::move(options_of)),
        hooks(std::move(hooks_of)), session(std::move(session_of)),
        threads(session.state != nullptr ? session.state->threads : options.machine.threads),
        class_weights(loss_weights(options.loop.class_weights, *data.train)), parameters(leaves(network)),
        optimizer(parameters, options.optimizer) {
    if (class_weights.defined()) class_weights = class_weights.to(tensor_device(options.machine.device));
    if (options.loop.sampling == Sampling::kBalanced) labels = labels_of(*data.train);
    images_per_epoch = static_cast<std::int64_t>(order(0).size());
    const RunLength length = run_length(options.loop, images_per_epoch);
    steps_per_epoch = length.steps_per_epoch;
    now.seed = options.loop.seed;
    now.batch_size = options.loop.batch_size;
    now.train_images = data.train->size();
    now.validation_images = data.validation ? data.validation->size() : 0;
    now.total_steps = length.total_steps;
    now.plan = executor.plan();
    now.device = options.machine.device;
    now.precision = options.machine.precision;
    now.engine = options.machine.engine;
    now.activation_ranges = executor.activation_ranges();
    now.threads = at::get_num_threads();
    if (session.state != nullptr) {
      restore(*session.state);
      session.state = nullptr;
    } else {
      now.rate_factor = session.rate_factor;
      const CacheChoice caches = choose_caches({executor.plan(), network.graph(), options, data.preprocessing,
                                                now.train_images, now.validation_images, length});
      now.train_cache = caches.train;
      now.validation_cache = caches.validation;
      make_caches();
    }
    const double preparation = seconds_since(start);  // the caches of a continued run
    start = last_checkpoint = Clock::now();
    if (options.loop.seconds > 0) {
      TimeBudget::Run run;
      run.steps_per_epoch = steps_per_epoch;
      if (train_cache) run.uncached_steps = view_count(options.data) * steps_per_epoch;
      run.batch_size = now.batch_size;
      run.validation_images = now.validation_images;
      run.test_images = session.test_images;
      most_steps = length.total_steps;
      budget.emplace(options.loop.seconds - session.seconds_spent - preparation, run);
    }
  }

  std::vector<std::int64_t> order(std::int64_t epoch) const {
    if (session.order) return session.order(epoch);
    if (options.loop.sampling == Sampling::kBalanced) return balanced_order(labels, options.loop.seed, epoch);
    return epoch_order(data.train->size(), options.loop.shuffle, options.loop.seed, epoch);
  }

  void make_caches() {
    const auto make = [&](CachePlace place, std::int64_t images, const char* split, std::int64_t batch) {
      if (session.open_cache && images > 0) {
        if (auto shared = session.open_cache({network.graph(), executor.plan(), split, images, batch})) return shared;
      }
      if (place == CachePlace::kNone) return std::unique_ptr<PrefixCache>();
      return std::make_unique<PrefixCache>(images, place == CachePlace::kDisk ? options.machine.cache_folder : "");
    };
    train_cache = make(now.train_cache, cached_rows(options.data, now.train_images), "train", now.batch_size);
    const auto batch =
        data.validation ? evaluation_batch(network.graph(), *data.validation, data.preprocessing) : std::int64_t{0};
    validation_cache = make(now.validation_cache, now.validation_images, "validation", batch);
  }

  void restore(const TrainingState& state) {
    require_same("the seed", static_cast<std::int64_t>(state.seed), static_cast<std::int64_t>(now.seed));
    require_same("batch_size", state.batch_size, now.batch_size);
    require_same("training images:", state.train_images, now.train_images);
    require_same("validation images:", state.validation_images, now.validation_images);
    if (options.loop.seconds == 0) require_same("steps:", state.total_steps, now.total_steps);
    require_within("step", state.step, state.total_steps);
    require_within("epoch", state.epoch, options.loop.epochs);
    require_within("batch", state.batch, steps_per_epoch);
    require_within("threads", state.threads, ranges::kThreads.greatest);
    // max_steps and time may cut the last epoch.
    const std::int64_t whole = state.epoch * steps_per_epoch + state.batch;
    const bool may_be_cut = state.batch == 0 && state.step > whole - steps_per_epoch;
    if (state.step > whole || (state.step < whole && !may_be_cut)) {
      fail("training state: got step ", state.step, " in epoch ", state.epoch, " after ", counted(state.batch, "batch"),
           ", expected ", whole, ".");
    }
    if (state.plan.segment != now.plan.segment || state.plan.frontier != now.plan.frontier)
      fail("training state: got another plan than the executor's, expected the same.");
    require_same(state.network, network.state_tensors());
    if (!state.best.empty()) require_same(state.best, network.adapter_tensors());
    network.load_state_tensors(state.network);
    optimizer.load(state.optimizer);
    now = state;
    now.network = {};
    now.optimizer = {};
    seconds_before = state.seconds;
    make_caches();
    if (!is_over()) refill_caches();
  }

  // Restores the caches' content from the same images in the same batches: other batches might produce other bytes.
  void refill_caches() {
    double wait = 0;
    StepInput input;
    if (train_cache && !train_cache->is_shared()) {
      for (std::int64_t epoch = 0; epoch <= now.epoch; ++epoch) {
        reads_cache = train_cache->complete();
        if (reads_cache) break;
        std::int64_t left = epoch < now.epoch ? steps_per_epoch : now.batch;
        EpochSource past(executor, data, options, train_cache.get(), {.epoch = epoch, .order = order(epoch)});
        while (left-- > 0 && past.next(input, wait)) {
        }
      }
    }
    if (validation_cache && !validation_cache->is_shared() && now.epoch > 0)
      evaluate(executor, data.validation, data.preprocessing, evaluation({}));
  }

  EvaluationOptions evaluation(EvaluateCallback progress) const {
    return {.device = tensor_device(options.machine.device),
            .cache = validation_cache.get(),
            .batch_size = evaluation_batch(network.graph(), *data.validation, data.preprocessing),
            .progress = std::move(progress)};
  }

  // What diverged is of no use to anyone, and must not take the place of an adapter that is.
  void require_finite() const {
    for (const auto& [name, tensor] : network.adapter_tensors()) {
      if (!all_finite(tensor)) {
        throw DivergedError(cat("training: got NaN or infinity in ", name, " after step ", now.step,
                                ", expected finite numbers. Lower learning_rate, or set clip_grad_norm."));
      }
    }
  }

  void checkpoint() {
    require_finite();
    hooks.checkpoint();
  }

  bool epoch_is_over() const { return now.batch == steps_per_epoch || now.step == now.total_steps; }
  bool is_over() const { return now.stopped_early || (now.step == now.total_steps && now.batch == 0); }

  double loss() const { return now.epoch_images == 0 ? 0 : now.loss_sum / static_cast<double>(now.epoch_images); }
  double accuracy() const {
    return now.epoch_images == 0 ? 0 : static_cast<double>(now.correct) / static_cast<double>(now.epoch_images);
  }
  double seconds() const { return seconds_before + seconds_since(start); }

  void begin_epoch() {
    now.loss_sum = 0;
    now.correct = now.epoch_images = 0;
    now.epoch_seconds = now.epoch_wait_seconds = 0;
  }

  void train_step() {
    const auto step_start = Clock::now();
    if (now.batch == 0) begin_epoch();
    if (!source) {
      if (now.batch == 0) reads_cache = train_cache && train_cache->complete();
      source.emplace(executor, data, options, train_cache.get(),
                     EpochStart{now.epoch, order(now.epoch), now.batch, reads_cache});
    }
    StepInput input;
    double wait = 0;
    if (!source->next(input, wait))
      fail("training: got too few images in epoch ", now.epoch + 1, ", expected as many as in the first.");
    const double prefix_seconds = reads_cache ? 0 : seconds_since(step_start);
    network.seed_dropout(derived_seed(now.seed, static_cast<std::uint64_t>(now.step)));
    const double rate = now.rate_factor * scheduled_learning_rate(options.optimizer, now.step, now.total_steps);
    const at::Tensor logits = executor.run_suffix(std::move(input.frontier), /*training=*/true);
    const at::Tensor& targets = input.shares.defined() ? input.shares : input.labels;
    const at::Tensor loss_now = at::cross_entropy_loss(logits, targets, class_weights, at::Reduction::Mean,
                                                       /*ignore_index=*/-100, options.loop.label_smoothing);
    const double value = loss_now.item<double>();
    if (!std::isfinite(value)) {
      if (now.step == 0) {
        fail("training: got a loss of ", value, " at step 1, before anything was learned, expected a finite one. The ",
             "weights of the base, or the mean and std of its images, are damaged.");
      }
      throw DivergedError(cat("training: got a loss of ", value, " at step ", now.step + 1,
                              ", expected a finite one. Lower learning_rate, or set clip_grad_norm."));
    }
    loss_now.backward();
    if (session.reduce_gradients) reduce();
    const double norm = optimizer.step(rate);

    const std::int64_t count = input.labels.size(0);
    ++now.step;
    ++now.batch;
    now.images += count;
    now.epoch_images += count;
    now.loss_sum += value * static_cast<double>(count);
    now.correct += (logits.detach().argmax(1) == input.labels).sum().item<std::int64_t>();
    now.data_wait_seconds += wait;
    now.epoch_wait_seconds += wait;
    speed.add(count);
    if (budget) {
      budget->add_step(prefix_seconds, seconds_since(step_start) - prefix_seconds);
      plan_length();
    }
    if (epoch_is_over()) source.reset();
    Json line{
        {"step", now.step}, {"epoch", now.epoch + 1}, {"loss", value}, {"learning_rate", rate}, {"seconds", seconds()}};
    if (options.optimizer.clip_grad_norm > 0) line["grad_norm"] = norm;
    hooks.metrics(line);
    now.epoch_seconds += seconds_since(step_start);
    if (!report("train", now.epoch_images, images_per_epoch)) {
      interrupted = true;
      return;
    }
    if (seconds_since(last_checkpoint) >= options.loop.checkpoint_seconds) {
      checkpoint();
      last_checkpoint = Clock::now();
    }
  }

  // From the speed so far.
  void plan_length() {
    if (budget->is_known()) now.total_steps = std::min(most_steps, budget->total_steps(now.step));
  }
  std::int64_t epochs() const {
    return budget ? (now.total_steps + steps_per_epoch - 1) / steps_per_epoch : options.loop.epochs;
  }

  void reduce() {
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : parameters) gradients.push_back(parameter.grad());
    session.reduce_gradients(gradients);
  }

  // Validates and logs the epoch.
  void end_epoch() {
    const std::int64_t number = now.epoch + 1;
    Json line{
        {"epoch", number}, {"train_loss", loss()}, {"train_accuracy", accuracy()}, {"seconds", now.epoch_seconds}};
    std::string text =
        cat("epoch ", number, "/", epochs(), ": loss ", fixed(loss(), 4), ", accuracy ", fixed(accuracy(), 4));
    EpochProgress report_of{.epoch = number,
                            .epochs = epochs(),
                            .loss = loss(),
                            .accuracy = accuracy(),
                            .seconds = now.epoch_seconds,
                            .data_wait_seconds = now.epoch_wait_seconds};
    if (now.epoch_seconds > 0) report_of.images_per_second = static_cast<double>(now.epoch_images) / now.epoch_seconds;
    bool go_on = true;
    if (data.validation) {
      const auto validation_start = Clock::now();
      const EvaluationResult found = evaluate(executor, data.validation, data.preprocessing,
                                              evaluation([&](std::int64_t done, std::int64_t total) {
                                                interrupted = !report("validate", done, total);
                                                return !interrupted;
                                              }));
      if (interrupted) return;
      if (budget) budget->add_validation(seconds_since(validation_start));
      line["validation_loss"] = found.loss;
      line["validation_accuracy"] = found.accuracy();
      line["validation_macro_f1"] = metric(found, Metric::kMacroF1);
      text += cat(", validation accuracy ", fixed(found.accuracy(), 4));
      go_on = keep_best(found);
      report_of.is_validated = true;
      report_of.validation_loss = found.loss;
      report_of.validation_accuracy = found.accuracy();
      report_of.is_best = now.best_epoch == number && options.loop.best != BestEpoch::kLast;
    }
    text += cat(", ", clock(now.epoch_seconds), " (data wait ", fixed(now.epoch_wait_seconds, 1), " s)");
    hooks.metrics(line);
    if (hooks.epoch) {
      hooks.epoch(report_of, text);
    } else {
      hooks.log(text);
    }
    if (!go_on)
      hooks.log(cat("stopped early: no improvement in validation ", title_of(options.loop.best), " in ",
                    counted(options.loop.early_stop, "epoch"), "; the best epoch is kept"));
    ++now.epoch;
    now.batch = 0;
    now.stopped_early = !go_on;
    if (budget && now.step < now.total_steps) plan_length();
    checkpoint();
  }

  // Returns false if training should stop.
  bool keep_best(const EvaluationResult& found) {
    const LoopOptions& loop = options.loop;
    const bool is_first = loop.best == BestEpoch::kLast || now.best_epoch == 0;
    const bool gains = is_first || is_better(loop.best, found, now.validation);
    // Of equally good epochs, which a small validation split often has, the one with the lower loss is kept.
    const bool ties = !is_first && !gains && !is_better(loop.best, now.validation, found);
    if (gains || (ties && found.loss < now.validation.loss)) {
      now.validation = found;
      now.best_epoch = now.epoch + 1;
      if (keeps_best_epoch(options, /*validates=*/true)) now.best = copied(network.adapter_tensors());
    }
    now.epochs_without_gain = gains ? 0 : now.epochs_without_gain + 1;
    return loop.early_stop == 0 || now.epochs_without_gain < loop.early_stop;
  }

  bool report(const char* phase, std::int64_t done, std::int64_t total) {
    if (!hooks.progress) return true;
    TrainProgress progress{phase, now.epoch + 1, epochs(), done, total, speed.rate(), loss(), accuracy(), 0};
    if (budget) {
      progress.seconds_left = std::max(0.0, budget->left());
    } else if (speed.rate() > 0 && seconds_since(start) > 1) {
      progress.seconds_left =
          static_cast<double>((now.total_steps - now.step) * options.loop.batch_size) / speed.rate();
    }
    return hooks.progress(progress);
  }
};

TrainingSession::TrainingSession(Network& network, Executor& executor, LoopData data, TrainingOptions options,
                                 LoopHooks hooks, SessionOptions session)
    : parts_(std::make_unique<Parts>(network, executor, std::move(data), std::move(options), std::move(hooks),
                                     std::move(session))) {}

TrainingSession::~TrainingSession() = default;

bool TrainingSession::advance() {
  Parts& parts = *parts_;
  if (parts.interrupted || parts.is_over()) return false;
  if (parts.epoch_is_over()) {
    parts.end_epoch();
  } else {
    parts.train_step();
  }
  if (parts.interrupted) parts.checkpoint();
  return !parts.interrupted && !parts.is_over();
}

TrainingState TrainingSession::state() const {
  TrainingState out = parts_->now;
  out.seconds = parts_->seconds();
  out.network = copied(parts_->network.state_tensors());
  out.optimizer = parts_->optimizer.state();
  return out;
}

TrainReport TrainingSession::finish() {
  const Parts& parts = *parts_;
  const TrainingState& now = parts.now;
  if (!now.best.empty()) parts.network.load_adapter_tensors(now.best);
  parts.require_finite();
  TrainReport out;
  out.interrupted = parts.interrupted;
  out.steps = now.step;
  out.epochs = now.epoch + (now.batch > 0 && parts.epoch_is_over() ? 1 : 0);
  out.images = now.images;
  out.seconds = parts.seconds();
  out.data_wait_seconds = now.data_wait_seconds;
  out.loss = parts.loss();
  out.accuracy = parts.accuracy();
  out.validation = now.validation;
  out.kept_epoch = now.best.empty() ? out.epochs : now.best_epoch;
  out.cached_prefix = now.train_cache != CachePlace::kNone;
  return out;
}

}  // namespace lorikeet
