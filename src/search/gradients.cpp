#include "search/gradients.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <chrono>

#include "adapters/matching.h"
#include "data/loader.h"
#include "engine/tensor_type.h"
#include "engine/threads.h"
#include "train/epoch_source.h"
#include "train/training_executor.h"

namespace lorikeet {

GradientPass module_gradients(const BaseModel& base, const Recipe& recipe, const LoopData& data,
                              const std::vector<std::string>& modules) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  constexpr std::int64_t kRank = 4, kImages = 256, kBatches = 4;
  const std::string suffix = ".lora_B.weight";
  AdapterSpec spec;
  spec.config.r = kRank;
  spec.config.lora_alpha = kRank;
  spec.config.target_modules = exact_targets(base.graph, modules);
  spec.output_classes = static_cast<std::int64_t>(data.train->classes().size());
  spec.config.modules_to_save = {base.graph.node(base.graph.output()).name};
  const ThreadCount threads(recipe.machine.threads);
  Network network(adapt(base.graph, spec), base.weights, recipe.loop.seed);
  network.to(tensor_device(recipe.machine.device));
  MachineOptions machine = recipe.machine;
  if (machine.precision == Precision::kInt8) machine.precision = Precision::kFloat32;
  const auto executor =
      make_training_executor(network, machine, {.plan = make_plan(network), .prepared = base.prepared}, data);

  std::vector<std::int64_t> order = epoch_order(data.train->size(), recipe.loop.shuffle, recipe.loop.seed, 0);
  order.resize(
      static_cast<std::size_t>(std::min(std::max(kImages, kBatches * recipe.loop.batch_size), data.train->size())));
  EpochSource source(*executor, data, recipe, nullptr, {.epoch = 0, .order = std::move(order)});
  GradientPass out;
  StepInput input;
  double wait = 0;
  for (auto start = Clock::now(); source.next(input, wait); start = Clock::now()) {
    const at::Tensor logits = executor->run_suffix(std::move(input.frontier), /*training=*/true);
    const at::Tensor loss = at::cross_entropy_loss(logits, input.shares.defined() ? input.shares : input.labels);
    loss.item<double>();  // waits for a GPU
    const double forward = seconds_since(start);
    loss.backward();
    for (const auto& [name, tensor] : network.trainable()) {
      if (name.ends_with(suffix))
        out.gradients[name.substr(0, name.size() - suffix.size())] += tensor.grad().square().mean().item<double>();
      at::Tensor(tensor).mutable_grad() = at::Tensor();
    }
    // Of the last whole batch, when all is prepared.
    if (const std::int64_t images = logits.size(0); images == std::min(recipe.loop.batch_size, data.train->size())) {
      out.step_seconds = seconds_since(start);
      out.image_seconds = forward / static_cast<double>(images);
    }
  }
  return out;
}

}  // namespace lorikeet
