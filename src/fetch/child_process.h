// A program of the machine, started without a shell: what it prints is kept, not shown, and its time is limited.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace lorikeet {

struct ChildProcess {
  /// The program, looked up in PATH, and its arguments.
  std::vector<std::string> arguments;
  std::filesystem::path working_folder;
  /// Then it is killed.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

struct ChildResult {
  /// There is no such program.
  bool missing = false;
  bool timed_out = false;
  /// Its exit status; 128 + the number of the signal that ended it.
  int status = 0;
  /// The end of what it printed, on standard output and standard error, at most 64 KiB.
  std::string output;
};

/// Runs it to its end, with nothing on its standard input. Throws Error where it cannot be started for another reason
/// than that it is missing. Thread-safe.
ChildResult run_child(const ChildProcess& child);

}  // namespace lorikeet
