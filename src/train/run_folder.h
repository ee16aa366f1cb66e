// The folder of one training run (train.h says what it holds). It belongs to one process at a time, which holds a lock
// on it, and an old run in it stays until the new one has a checkpoint.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lorikeet {

/// A process's lock on a folder. The system releases it when the process ends, so it cannot become stale. On a
/// file system without locks every process gets it.
class FolderLock {
 public:
  /// Makes the folder. Throws UsageError where another process holds the lock.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

class RunFolder {
 public:
  /// Makes and locks the folder. A UsageError where it is locked, or holds a run already and `replace` is false. A run
  /// that is replaced stays as it is until the first checkpoint; what is written before lies in a folder `.run.XXXXXX`
  /// in it. Other files in the folder stay.
  RunFolder(std::filesystem::path path, bool replace);
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path adapter() const { return path_ / "adapter"; }

  void write_recipe(std::string_view yaml);
  /// REQUIRES: a checkpoint.
  void write_summary(const Json& summary);
  /// One line of metrics.jsonl, on disk when the call returns as far as a crash of the process is concerned.
  void add_metrics(const Json& metrics);
  /// One line of log.txt.
  void add_log(std::string_view line);
  /// `write` puts the adapter, whole or not at all, into the folder that it is given. With the first one the new run
  /// takes the place of the old.
  void checkpoint(const std::function<void(const std::filesystem::path& adapter)>& write);
  bool has_checkpoint() const { return has_checkpoint_; }
  /// For a run that failed before it had a checkpoint: removes what it wrote. An old run stays; without one the folder
  /// goes too, where it is empty then.
  void discard();

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  File open(const char* name) const;
  void append(const File& file, const char* name, std::string line) const;
  void replace_old_run();

  std::filesystem::path path_;
  FolderLock lock_;
  std::filesystem::path files_;  // where recipe, metrics and log are written: path_, or .run.XXXXXX in it
  bool has_checkpoint_ = false;
  File metrics_;
  File log_;
};

/// Whether `path` holds a run.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace lorikeet
