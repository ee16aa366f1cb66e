// The folder of one training run (train.h says what it holds): claimed before training, written as it goes.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lorikeet {

class RunFolder {
 public:
  /// Makes the folder. One that holds a run already is a UsageError, or is emptied of it where `replace`.
  RunFolder(std::filesystem::path path, bool replace);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path adapter() const { return path_ / "adapter"; }

  void write_recipe(std::string_view yaml);
  void write_summary(const Json& summary);
  /// One line of metrics.jsonl, on disk when the call returns as far as a crash of the process is concerned.
  void add_metrics(const Json& metrics);
  /// One line of log.txt.
  void add_log(std::string_view line);
  /// Removes the run, and the folder where it is empty then: for one that failed before it had an adapter.
  void discard();

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  File open(const char* name) const;
  void append(const File& file, const char* name, std::string line) const;

  std::filesystem::path path_;
  File metrics_;
  File log_;
};

/// Whether `path` holds a run.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace lorikeet
