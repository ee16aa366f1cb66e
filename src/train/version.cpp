#include "lorikeet/version.h"

#include <torch/version.h>

namespace lorikeet {

const char* version() { return LORIKEET_VERSION; }

const char* libtorch_version() { return TORCH_VERSION; }

}  // namespace lorikeet
