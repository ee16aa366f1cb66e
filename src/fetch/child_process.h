// Runs a program without a shell, captures its output and limits its time.
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
  /// The program is killed after it.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

struct ChildResult {
  /// There is no such program.
  bool missing = false;
  bool timed_out = false;
  /// Its exit status; 128 + the number of the signal that ended it.
  int status = 0;
  /// The last 64 KiB of its standard output and standard error.
  std::string output;
};

/// Runs the program until it exits, with an empty standard input. Throws Error where it exists but cannot be started.
/// Thread-safe.
ChildResult run_child(const ChildProcess& child);

}  // namespace lorikeet
