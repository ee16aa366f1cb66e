// Ctrl-C stops long work at the next safe point. A second Ctrl-C stops it immediately.
#pragma once

#include <string>

namespace lorikeet::cli {

/// From now on, SIGINT and SIGTERM set the flag instead of ending the process.
void catch_interrupts();
bool interrupted();

/// Thrown to leave work that can only be stopped by an exception. Not derived from Error, so that it is not handled as
/// a failure with a fallback.
struct Interrupted {
  std::string message;
};

}  // namespace lorikeet::cli
