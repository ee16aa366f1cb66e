#include "train/training_executor.h"

#include <algorithm>
#include <utility>

#include "data/loader.h"
#include "engine/int8.h"
#include "engine/tensor_type.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

// Of the plan's frozen prefix. REQUIRES: a network on the CPU.
ActivationRanges calibrate(const Network& network, const Plan& plan, const LoopData& data) {
  constexpr std::int64_t kImages = 64;
  constexpr std::int64_t kBatch = 32;
  RangeMeter meter(network, plan);
  Loader loader(prepared(data.train, data.preprocessing),
                epoch_order(std::min(kImages, data.train->size()), /*shuffle=*/false, 0, 0), {.batch_size = kBatch});
  for (Batch batch; loader.next(batch);) meter.add(normalise(batch.images, data.preprocessing));
  return meter.ranges();
}

}  // namespace

std::unique_ptr<Executor> make_training_executor(const Network& network, const MachineOptions& machine,
                                                 ExecutorOptions options, const LoopData& data) {
  options.precision = activation_type(machine.precision);
  if (machine.precision != Precision::kInt8) return make_executor(machine.engine, network, options);
  return make_int8_executor(network, options, calibrate(network, *options.plan, data));
}

ActivationRanges merged_ranges(const Network& network, const LoopData& data) {
  const Network merged(network.graph(), network.merged());
  return calibrate(merged, make_plan(merged), data);
}

}  // namespace lorikeet
