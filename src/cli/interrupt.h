// Ctrl-C asks long work to stop at the next safe point; pressed again it stops at once.
#pragma once

namespace lorikeet::cli {

/// From here on SIGINT and SIGTERM set the flag instead of ending the process.
void catch_interrupts();
bool interrupted();

}  // namespace lorikeet::cli
