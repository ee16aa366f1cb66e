// The folder of one training run (contents: train.h). One process at a time owns it by a lock. An old run in it stays
// until the new one has a checkpoint: everything of the new run is in a subfolder `.run.XXXXXX`, whose atomic renaming
// to
// `.run.complete` replaces the old run. Moving its parts into the folder then only remains to be done, by this process
// or, if it is killed, by the next one that opens the folder for writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
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
  /// Locks the folder of a run to continue it; metrics and log go on at their ends. Throws UsageError if it is locked
  /// or holds no recipe.
  struct Existing {};
  RunFolder(const std::filesystem::path& path, Existing);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path adapter() const { return path_ / "adapter"; }
  /// The adapter in one file. REQUIRES to write it: at least one checkpoint.
  std::filesystem::path adapter_file() const { return path_ / "adapter.lorikeet"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }

  void write_recipe(std::string_view yaml);
  /// REQUIRES: at least one checkpoint.
  void write_summary(const Json& summary);
  /// Appends a line to metrics.jsonl. It survives a crash of the process.
  void add_metrics(const Json& metrics);
  /// Appends a line to log.txt.
  void add_log(std::string_view line);
  /// Syncs metrics.jsonl and returns its length.
  std::uint64_t sync_metrics() const;
  /// Removes what was appended to metrics.jsonl after `bytes`, and an incomplete last line.
  void truncate_metrics(std::uint64_t bytes) const;
  /// Calls `write_adapter` and then `write_state`, which write atomically to the given folders. The first checkpoint
  /// replaces an old run, and removes the summary and the adapter's file of a continued one.
  using Write = std::function<void(const std::filesystem::path& folder)>;
  void checkpoint(const Write& write_adapter, const Write& write_state = {});
  /// Whether this object wrote a checkpoint.
  bool has_checkpoint() const { return has_checkpoint_; }
  /// Removes the files of a run that failed before its first checkpoint. An old run stays; otherwise the folder is also
  /// removed if it is empty.
  void discard();

 private:
  RunFolder(const std::filesystem::path& path, bool replace, bool existing);
  int open(const char* name, int flags) const;
  void append(int descriptor, const char* name, std::string line) const;
  void replace_old_run();

  std::filesystem::path path_;
  FolderLock lock_;
  std::filesystem::path files_;  // folder of recipe, metrics and log: path_, or .run.XXXXXX in it
  bool is_continued_ = false;
  bool has_checkpoint_ = false;
  // File descriptors.
  int metrics_ = -1;
  int log_ = -1;
};

/// Whether `path` holds a run.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace lorikeet
