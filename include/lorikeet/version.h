// Which Lorikeet this is, and which libtorch it was linked with.
#pragma once

namespace lorikeet {

/// "0.1.0".
const char* version();
/// "2.13.0".
const char* libtorch_version();

}  // namespace lorikeet
