// Builds the one-line messages of lorikeet::Error.
#pragma once

#include <sstream>
#include <string>

#include "lorikeet/error.h"

namespace lorikeet {

/// Concatenates streamable values.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// Throws Error with the concatenation of `parts`, by convention `where, ": got ", x, ", expected ", y, ". Hint"`.
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(cat(parts...));
}

template <typename... Parts>
[[noreturn]] void fail_usage(const Parts&... parts) {
  throw UsageError(cat(parts...));
}

}  // namespace lorikeet
