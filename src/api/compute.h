// Device and precision that a caller of the public interface asks for, checked.
#pragma once

#include "loading/loaded_model.h"
#include "lorikeet/model.h"

namespace lorikeet {

/// The precision in which `loaded` runs: the one asked for, else its own. Throws UsageError where it cannot run in it.
Precision chosen_precision(const LoadOptions& options, const LoadedModel& loaded);

}  // namespace lorikeet
