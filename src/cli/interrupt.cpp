#include "cli/interrupt.h"

#include <csignal>

namespace lorikeet::cli {
namespace {

volatile std::sig_atomic_t g_signal = 0;

extern "C" void on_signal(int signal) {
  g_signal = signal;
  std::signal(signal, SIG_DFL);  // the second signal ends the process
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
}

bool interrupted() { return g_signal != 0; }

int interrupt_status() { return 128 + (interrupted() ? static_cast<int>(g_signal) : SIGINT); }

}  // namespace lorikeet::cli
