#include "train/footprint.h"

#include <algorithm>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/text.h"
#include "kernels/machine.h"
#include "train/caching.h"
#include "train/evaluate.h"

namespace lorikeet {
namespace {

bool is_on_gpu(const PlannedRun& run) { return run.options.machine.device == Device::kCuda; }

// Bytes on the run's device.
std::uint64_t device_memory(const PlannedRun& run, std::int64_t batch) {
  MemoryEstimate memory = run_memory(run, batch);
  if (is_on_gpu(run)) memory.data = memory.program = 0;  // they stay in the machine's memory
  return memory.total();
}

}  // namespace

std::uint64_t memory_bytes(const Splits& splits) {
  std::uint64_t out = 0;
  for (const auto& split : {splits.train, splits.validation, splits.test}) {
    if (split) out += split->memory_bytes();
  }
  return out;
}

MemoryEstimate run_memory(const PlannedRun& run, std::int64_t batch) {
  constexpr std::uint64_t kReadAhead = 6;  // batches of uint8 images: the loader's, and one in transit
  const auto [height, width] = image_size(*run.data.train, run.preprocessing);
  const ImageCost image{height, width, image_cost(run.options.machine, run.preprocessing).element_size};
  const std::int64_t images = std::min(batch, run.data.train->size());
  MemoryEstimate out = estimate_memory(run.network, run.plan, image, images);
  if (keeps_best_epoch(run.options, run.data.validation != nullptr))
    out.learning += out.learning / 3;  // the best epoch's values
  if (run.options.machine.precision == Precision::kInt8) {
    // The int8 weights, and float32 ones for the calibration. At the end, when the adapter is merged in float32, those
    // for gradients are freed.
    out.prepared += out.weights + out.weights / 4;
  }
  const auto pixels = static_cast<std::uint64_t>(3 * height * width);
  const auto most = static_cast<std::uint64_t>(std::max(images, evaluation_batch(run.network.graph(), height, width)));
  out.data = run.dataset_bytes + most * pixels * (kReadAhead + sizeof(float));
  const std::int64_t validation = run.data.validation ? run.data.validation->size() : 0;
  out.cache = choose_caches({run.plan, run.network.graph(), run.options, run.preprocessing, run.data.train->size(),
                             validation, run_length(run.options.loop, run.data.train->size())})
                  .memory;
  return out;
}

void require_learned_memory(const Adaptation& adaptation, std::uint64_t copies, std::uint64_t available) {
  std::int64_t learned = 0, fixed = 0;
  for (const Parameter& parameter : adapter_parameters(adaptation))
    (parameter.buffer ? fixed : learned) += parameter.count();
  const std::uint64_t needed =
      sizeof(float) * (copies * static_cast<std::uint64_t>(learned) + static_cast<std::uint64_t>(fixed));
  if (needed <= available) return;
  fail_usage("adapter: got ", counted(learned, "number"), " to learn",
             fixed > 0 ? cat(" and ", with_commas(fixed), " fixed ones") : "", ", which take about ",
             human_bytes(needed), " of memory", copies > 1 ? " with their gradients and moments" : "",
             ", expected at most the ", human_bytes(available),
             " that this machine has free. Set a smaller r or head, or choose fewer modules.");
}

void require_memory(const PlannedRun& run) {
  const auto available = is_on_gpu(run) ? available_cuda_memory() : available_memory();
  if (!available) return;
  const MemoryEstimate memory = run_memory(run, run.options.loop.batch_size);
  // A program that uses the library may hold more than what belongs to this run.
  const std::uint64_t resident = is_on_gpu(run)
                                     ? memory.weights
                                     : std::min(resident_memory(), memory.weights + run.dataset_bytes + memory.program);
  require_memory(run, *available, resident);
}

void require_memory(const PlannedRun& run, std::uint64_t available, std::uint64_t resident) {
  const std::int64_t wanted = std::min(run.options.loop.batch_size, run.data.train->size());
  const auto needed = [&](std::int64_t batch) {
    const std::uint64_t total = device_memory(run, batch);
    return total - std::min(total, resident);
  };
  if (needed(wanted) <= available) return;
  std::int64_t fits = 0;  // the largest known to fit
  for (std::int64_t step = wanted; step > 0; step /= 2) {
    while (fits + step < wanted && needed(fits + step) <= available) fits += step;
  }
  const std::string start =
      cat("batch_size: got ", run.options.loop.batch_size, ", which needs about ",
          human_bytes(device_memory(run, wanted)), " of memory, expected at most the ", human_bytes(available),
          " available on ", is_on_gpu(run) ? "the GPU" : "this machine", ". ");
  if (fits > 0) fail_usage(start, "Set batch_size to ", fits, " or less.");
  fail_usage(start, "No batch fits: set a smaller image_size or cache_gib.");
}

}  // namespace lorikeet
