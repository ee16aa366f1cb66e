// Lorikeet's exceptions. Every message is one line: `where: got X, expected Y. Hint`.
#pragma once

#include <stdexcept>
#include <string>

#include "lorikeet/export.h"

namespace lorikeet {

/// An input (a file, the network, the machine) is invalid or not available. The command exits with status 1.
class LORIKEET_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An argument is invalid, such as an unknown name or a value out of range. The command exits with status 2.
class LORIKEET_EXPORT UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace lorikeet
