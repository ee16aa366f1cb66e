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
  /// The program is killed after this time.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

struct ChildResult {
  /// Whether the program does not exist.
  bool missing = false;
  bool timed_out = false;
  /// The exit status, or 128 + the number of the signal that ended the program.
  int status = 0;
  /// The last 64 KiB of its standard output and standard error.
  std::string output;
};

/// Runs the program with an empty standard input until it exits. Throws Error if it exists but cannot be started.
/// Thread-safe.
ChildResult run_child(const ChildProcess& child);

}  // namespace lorikeet
