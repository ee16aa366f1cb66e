// Checks the device and precision requested by the caller.
#pragma once

#include "loading/loaded_model.h"
#include "lorikeet/model.h"

namespace lorikeet {

/// Returns the requested precision, or the default of `loaded`. Throws UsageError if `loaded` does not support it.
Precision chosen_precision(const LoadOptions& options, const LoadedModel& loaded);

}  // namespace lorikeet
