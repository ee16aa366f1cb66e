#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "train/metrics_files.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr const char* kRecipe = "recipe.yaml";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kSummary = "summary.json";
constexpr const char* kLog = "log.txt";
constexpr const char* kReport = "report.html";
constexpr const char* kSteps = "steps.csv";
constexpr const char* kEpochs = "epochs.csv";
constexpr const char* kAdapter = "adapter";
constexpr const char* kAdapterFile = "adapter.lorikeet";
constexpr const char* kCheckpoints = "checkpoints";
constexpr std::array<const char*, 11> kParts{kRecipe, kMetrics, kSummary, kLog,         kReport,     kSteps,
                                             kEpochs, kEvents,  kAdapter, kAdapterFile, kCheckpoints};
constexpr const char* kUnfinished = ".run.";        // prefix of the folder of a run without a checkpoint
constexpr const char* kComplete = ".run.complete";  // the same once it has one

std::vector<fs::path> entries(const fs::path& path) {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (fs::directory_iterator it(path, ignored), end; !ignored && it != end; it.increment(ignored))
    out.push_back(it->path());
  return out;
}

// Removes unfinished files of a killed process: ".adapter.Ab3dEf", ".run.Ab3dEf". REQUIRES: the folder is locked.
void remove_unfinished(const fs::path& path) {
  std::error_code ignored;
  for (const auto& entry : entries(path)) {
    const std::string name = entry.filename().string();
    const bool unfinished = name.starts_with(kUnfinished) ||
                            std::any_of(kParts.begin(), kParts.end(),
                                        [&](const char* part) { return name.starts_with(cat(".", part, ".")); });
    if (unfinished) fs::remove_all(entry, ignored);
  }
  for (const auto& entry : entries(path / kCheckpoints)) {
    if (entry.filename().string().starts_with(".step-")) fs::remove(entry, ignored);
  }
}

void move_part(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail(to.string(), ": cannot be written: ", std::strerror(errno), ".", write_hint(errno));
}

// Moves the parts of a complete new run in `.run.complete` into its folder, in place of those of the old one. Can be
// stopped anywhere and repeated. If `repeated`, the adapter there may already be the old one, taken in exchange; the
// next checkpoint replaces it. REQUIRES: the folder is locked.
void finish_replacement(const fs::path& path, bool repeated) {
  const fs::path from = path / kComplete;
  std::error_code ignored;
  if (!fs::exists(from, ignored)) return;
  if (repeated) fs::remove(path / kSummary, ignored);
  for (const char* part : {kRecipe, kMetrics, kLog, kSummary, kReport, kSteps, kEpochs, kEvents, kAdapterFile}) {
    if (fs::exists(from / part, ignored)) {
      move_part(from / part, path / part);
    } else if (!repeated) {
      fs::remove(path / part, ignored);
    }
  }
  if (const auto files = entries(from / kCheckpoints); !files.empty()) {
    fs::remove_all(path / kCheckpoints, ignored);
    fs::create_directory(path / kCheckpoints, ignored);
    for (const fs::path& file : files) move_part(file, path / kCheckpoints / file.filename());
    sync_folder(path / kCheckpoints);
  }
  if (fs::exists(from / kAdapter, ignored) && !(repeated && fs::exists(path / kAdapter, ignored)))
    move_into_place(from / kAdapter, path / kAdapter);
  sync_folder(path);
  fs::remove_all(from, ignored);
}

void remove_run(const fs::path& path) {
  std::error_code ignored;
  for (const char* part : kParts) fs::remove_all(path / part, ignored);
  remove_unfinished(path);
}

// Returns where the run in `path` writes before its first checkpoint. REQUIRES: `path` is locked.
fs::path claim(const fs::path& path, bool replace, bool existing) {
  finish_replacement(path, /*repeated=*/true);
  if (existing) {
    if (!fs::exists(path / kRecipe)) {
      fail_usage(path.string(),
                 ": got a folder without recipe.yaml, expected the folder of a run. If it ended before "
                 "its first step, train again: lorikeet train RECIPE run=FOLDER.");
    }
    remove_unfinished(path);
    return path;
  }
  const bool has_old_run = is_run_folder(path);
  if (has_old_run && !replace) {
    fail_usage(path.string(),
               ": got a folder that holds a run already. Name another with run=FOLDER, replace it with --force, or "
               "continue it with --resume FOLDER.");
  }
  remove_unfinished(path);
  if (!has_old_run) return path;
  std::string name = (path / (std::string(kUnfinished) + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr)
    fail(path.string(), ": cannot be written: ", std::strerror(errno), ".", write_hint(errno));
  return name;
}

bool is_same_file(int descriptor, const fs::path& path) {
  struct stat held {};
  struct stat found {};
  return ::fstat(descriptor, &held) == 0 && ::stat(path.c_str(), &found) == 0 && held.st_dev == found.st_dev &&
         held.st_ino == found.st_ino;
}

}  // namespace

bool is_run_folder(const fs::path& path) {
  return fs::exists(path / kRecipe) || fs::exists(path / kSummary) || fs::exists(path / kAdapter) ||
         fs::exists(path / kComplete);
}

FolderLock::FolderLock(const fs::path& folder) {
  // Locking the folder itself leaves no lock file. The previous holder may have removed the folder in the meantime.
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) fail(folder.string(), ": cannot be created: ", error.message(), ".");
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) fail(folder.string(), ": cannot be opened: ", std::strerror(errno), ".");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      fail_usage(
          folder.string(),
          ": got a folder in which another process is training, expected one used only by this run. Wait for it, or "
          "name another with run=FOLDER.");
    }
  } while (!is_same_file(descriptor_, folder));
}

FolderLock::~FolderLock() { ::close(descriptor_); }

RunFolder::RunFolder(const fs::path& path, bool replace) : RunFolder(path, replace, /*existing=*/false) {}

RunFolder::RunFolder(const fs::path& path, Existing) : RunFolder(path, /*replace=*/false, /*existing=*/true) {}

RunFolder::RunFolder(const fs::path& path, bool replace, bool existing)
    : path_(without_trailing_slash(path)), lock_(path_), files_(claim(path_, replace, existing)),
      is_continued_(existing), metrics_(open(kMetrics, existing ? O_APPEND : O_TRUNC)),
      log_(open(kLog, existing ? O_APPEND : O_TRUNC)) {}

RunFolder::~RunFolder() {
  ::close(metrics_);
  ::close(log_);
}

int RunFolder::open(const char* name, int flags) const {
  const int descriptor = ::open((files_ / name).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0666);
  if (descriptor >= 0) return descriptor;
  const int error = errno;
  if (metrics_ >= 0) ::close(metrics_);
  fail((path_ / name).string(), ": cannot be written: ", std::strerror(error), ".", write_hint(error));
}

void RunFolder::append(int descriptor, const char* name, std::string line) const {
  line += '\n';
  std::uint64_t written = 0;
  if (write_all(descriptor, line.data(), line.size(), written)) return;
  fail((path_ / name).string(), ": cannot be written: ", std::strerror(errno), ".", write_hint(errno));
}

std::uint64_t RunFolder::sync_metrics() const {
  struct stat status {};
  if (::fsync(metrics_) == 0 && ::fstat(metrics_, &status) == 0) return static_cast<std::uint64_t>(status.st_size);
  fail((path_ / kMetrics).string(), ": cannot be written: ", std::strerror(errno), ".", write_hint(errno));
}

void RunFolder::truncate_metrics(std::uint64_t bytes) const {
  struct stat status {};
  off_t size = ::fstat(metrics_, &status) == 0 ? std::min(status.st_size, static_cast<off_t>(bytes)) : 0;
  for (char last = 0; size > 0 && ::pread(metrics_, &last, 1, size - 1) == 1 && last != '\n';) --size;
  if (::ftruncate(metrics_, size) != 0)
    fail((path_ / kMetrics).string(), ": cannot be written: ", std::strerror(errno), ".", write_hint(errno));
}

void RunFolder::checkpoint(const Write& write_adapter, const Write& write_state) {
  const bool in_place = files_ == path_;
  write_adapter(files_ / kAdapter);
  has_checkpoint_ = has_checkpoint_ || in_place;
  if (write_state) write_state(files_ / kCheckpoints);
  if (!in_place) replace_old_run();
  if (std::error_code ignored; std::exchange(is_continued_, false)) {
    for (const char* part : {kSummary, kAdapterFile}) fs::remove(path_ / part, ignored);
  }
  has_checkpoint_ = true;
}

// Everything is written and synced at this point. Only renames within one folder remain.
void RunFolder::replace_old_run() {
  sync_folder(files_);
  move_part(files_, path_ / kComplete);
  has_checkpoint_ = true;
  files_ = path_ / kComplete;  // if what follows fails, the next process finishes it
  sync_folder(path_);
  finish_replacement(path_, /*repeated=*/false);
  files_ = path_;
}

void RunFolder::discard() {
  std::error_code ignored;
  if (files_ != path_) {
    fs::remove_all(files_, ignored);
    return;
  }
  remove_run(path_);
  fs::remove(path_, ignored);
}

void RunFolder::write_recipe(std::string_view yaml) { write_file(files_ / kRecipe, yaml); }

void RunFolder::write_summary(const Json& summary) { write_file(path_ / kSummary, json_text(summary, 2) + "\n"); }

void RunFolder::add_metrics(const Json& metrics) { append(metrics_, kMetrics, json_text(metrics)); }

void RunFolder::add_log(std::string_view line) { append(log_, kLog, printable(line, std::string_view::npos)); }

}  // namespace lorikeet
