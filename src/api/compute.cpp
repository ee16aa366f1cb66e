#include "api/compute.h"

#include "base/compute.h"
#include "base/error.h"
#include "engine/tensor_type.h"

namespace lorikeet {

Precision chosen_precision(const LoadOptions& options, const LoadedModel& loaded) {
  const Precision chosen = resolved_precision(options.precision.value_or(loaded.precision), options.device);
  if (chosen == Precision::kInt8) {
    if (options.device != Device::kCpu) {
      fail_usage("precision: got int8 on device ", name_of(options.device),
                 ", expected device cpu, or precision float32 or bfloat16.");
    }
    if (!loaded.adapter || !loaded.adapter->metadata || loaded.adapter->metadata->activation_ranges.empty()) {
      fail_usage("precision: got int8 for a network without activation ranges, expected an adapter trained in int8.");
    }
  }
  return chosen;
}

}  // namespace lorikeet
