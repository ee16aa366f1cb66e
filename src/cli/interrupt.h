// Ctrl-C, SIGTERM and SIGHUP stop long work at the next safe point. The second signal stops it immediately.
#pragma once

#include <string>

namespace lorikeet::cli {

/// From now on, SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process.
void catch_interrupts();
bool interrupted();
/// The exit code of an interrupted command, as a shell reports it: 128 + the signal's number; 130 for Ctrl-C.
int interrupt_status();

/// Thrown to leave work that can only be stopped by an exception. Not derived from Error, so that it is not handled as
/// a failure with a fallback.
struct Interrupted {
  std::string message;
};

}  // namespace lorikeet::cli
