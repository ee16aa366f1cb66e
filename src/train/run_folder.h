// The folder of one training run (contents: train.h). One process at a time owns it by a lock. An old run in it stays
// until the new one has a checkpoint.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lorikeet {

/// A process's lock on a folder. The system releases it when the process ends, so it cannot become stale. On a file
/// system without locks, every process acquires it.
class FolderLock {
 public:
  /// Creates the folder. Throws UsageError if another process holds the lock.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

class RunFolder {
 public:
  /// Creates and locks the folder. Throws UsageError if it is locked, or holds a run and `replace` is false. A replaced
  /// run stays until the first checkpoint; until then the new run writes to a subfolder `.run.XXXXXX`. Other files in
  /// the folder stay.
  RunFolder(const std::filesystem::path& path, bool replace);
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path adapter() const { return path_ / "adapter"; }

  void write_recipe(std::string_view yaml);
  /// REQUIRES: at least one checkpoint.
  void write_summary(const Json& summary);
  /// Appends a line to metrics.jsonl. It survives a crash of the process.
  void add_metrics(const Json& metrics);
  /// Appends a line to log.txt.
  void add_log(std::string_view line);
  /// Calls `write`, which writes the adapter atomically to the given folder. The first checkpoint replaces an old run.
  void checkpoint(const std::function<void(const std::filesystem::path& adapter)>& write);
  bool has_checkpoint() const { return has_checkpoint_; }
  /// Removes the files of a run that failed before its first checkpoint. An old run stays; otherwise the folder is also
  /// removed if it is empty.
  void discard();

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  File open(const char* name) const;
  void append(const File& file, const char* name, std::string line) const;
  void replace_old_run();

  std::filesystem::path path_;
  FolderLock lock_;
  std::filesystem::path files_;  // folder of recipe, metrics and log: path_, or .run.XXXXXX in it
  bool has_checkpoint_ = false;
  File metrics_;
  File log_;
};

/// Whether `path` holds a run.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace lorikeet
