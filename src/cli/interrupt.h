// Ctrl-C asks long work to stop at the next safe point; pressed again it stops at once.
#pragma once

#include <string>

namespace lorikeet::cli {

/// From now on, SIGINT and SIGTERM set the flag instead of ending the process.
void catch_interrupts();
bool interrupted();

/// Thrown out of work that can only be left by an exception. No Error: nothing may take it for a failure that another
/// way around would mend.
struct Interrupted {
  std::string message;
};

}  // namespace lorikeet::cli
