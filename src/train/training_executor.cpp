#include "train/training_executor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/loader.h"
#include "engine/int8.h"
#include "engine/prepared_base.h"
#include "engine/tensor_type.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

// Activation ranges of the plan's frozen prefix. Frees entries of `base` used only here. REQUIRES: a network on the
// CPU.
ActivationRanges calibrate(const Network& network, const Plan& plan, const LoopData& data,
                           const std::shared_ptr<PreparedBase>& base) {
  constexpr std::int64_t kImages = 64;
  constexpr std::int64_t kBatch = 8;  // few, because their activations are float32
  std::optional<RangeMeter> meter(std::in_place, network, plan, base);
  Loader loader(prepared(data.train, data.preprocessing),
                epoch_order(std::min(kImages, data.train->size()), /*shuffle=*/false, 0, 0), {.batch_size = kBatch});
  for (Batch batch; loader.next(batch);) meter->add(normalise(batch.images, data.preprocessing));
  ActivationRanges out = meter->ranges();
  meter.reset();
  if (base != nullptr) base->release_unused();
  return out;
}

}  // namespace

std::unique_ptr<Executor> make_training_executor(const Network& network, const MachineOptions& machine,
                                                 ExecutorOptions options, const LoopData& data) {
  options.precision = activation_type(machine.precision);
  if (machine.precision != Precision::kInt8) return make_executor(machine.engine, network, options);
  return make_int8_executor(network, options, calibrate(network, *options.plan, data, options.prepared));
}

ActivationRanges merged_ranges(const Network& network, const LoopData& data,
                               const std::shared_ptr<PreparedBase>& prepared) {
  const Network merged(network.graph(), network.merged());
  return calibrate(merged, make_plan(merged), data, prepared);
}

}  // namespace lorikeet
