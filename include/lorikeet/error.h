// The exceptions of Lorikeet. Every message is one line for people: `where: got X, expected Y. Hint`.
#pragma once

#include <stdexcept>
#include <string>

#include "lorikeet/export.h"

namespace lorikeet {

/// Something from outside (a file, the network, the machine) is invalid or not available. The command exits with 1.
class LORIKEET_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller asked for something invalid: an unknown name, an impossible value. The command exits with 2.
class LORIKEET_EXPORT UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace lorikeet
