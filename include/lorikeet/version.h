// The versions of Lorikeet and of the libtorch it is linked with.
#pragma once

#include "lorikeet/export.h"

namespace lorikeet {

/// "0.1.0".
LORIKEET_EXPORT const char* version();
/// "2.13.0".
LORIKEET_EXPORT const char* libtorch_version();

}  // namespace lorikeet
