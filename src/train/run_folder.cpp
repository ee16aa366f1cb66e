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
constexpr std::array<const char*, 9> kParts{kRecipe, kMetrics, kSummary, kLog,     kReport,
                                            kSteps,  kEpochs,  kEvents,  "adapter"};
constexpr const char* kUnfinished = ".run.";  // prefix of the folder of a run without a checkpoint

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
}

void remove_run(const fs::path& path) {
  std::error_code ignored;
  for (const char* part : kParts) fs::remove_all(path / part, ignored);
  remove_unfinished(path);
}

// Returns where a new run in `path` writes before its first checkpoint. REQUIRES: `path` is locked.
fs::path claim(const fs::path& path, bool replace) {
  const bool has_old_run = is_run_folder(path);
  if (has_old_run && !replace) {
    fail_usage(path.string(),
               ": got a folder that holds a run already. Name another with run=FOLDER, or replace it with --force.");
  }
  remove_unfinished(path);
  if (!has_old_run) return path;
  std::string name = (path / (std::string(kUnfinished) + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) fail(path.string(), ": cannot be written: ", std::strerror(errno), ".");
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
  return fs::exists(path / kRecipe) || fs::exists(path / kSummary) || fs::exists(path / "adapter");
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
          ": got a folder in which another process is training, expected one used only by this run. Name another "
          "with run=FOLDER.");
    }
  } while (!is_same_file(descriptor_, folder));
}

FolderLock::~FolderLock() { ::close(descriptor_); }

RunFolder::RunFolder(const fs::path& path, bool replace)
    : path_(without_trailing_slash(path)), lock_(path_), files_(claim(path_, replace)), metrics_(open(kMetrics)),
      log_(open(kLog)) {}

RunFolder::File RunFolder::open(const char* name) const {
  File file(std::fopen((files_ / name).c_str(), "we"), std::fclose);
  if (!file) fail((path_ / name).string(), ": cannot be written: ", std::strerror(errno), ".");
  return file;
}

void RunFolder::append(const File& file, const char* name, std::string line) const {
  line += '\n';
  if (std::fwrite(line.data(), 1, line.size(), file.get()) != line.size() || std::fflush(file.get()) != 0) {
    fail((path_ / name).string(), ": cannot be written: ", std::strerror(errno), ".");
  }
}

void RunFolder::checkpoint(const std::function<void(const fs::path&)>& write) {
  write(files_ / "adapter");
  if (files_ != path_) replace_old_run();
  has_checkpoint_ = true;
}

// Everything is written and synced at this point. Only renames within one folder remain.
void RunFolder::replace_old_run() {
  for (const char* part : {kSummary, kReport, kSteps, kEpochs, kEvents, kRecipe, kMetrics, kLog}) {
    std::error_code error;
    if (fs::exists(files_ / part)) {
      fs::rename(files_ / part, path_ / part, error);
    } else {
      fs::remove(path_ / part, error);
    }
    if (error) fail((path_ / part).string(), ": cannot be written: ", error.message(), ".");
  }
  move_into_place(files_ / "adapter", adapter());
  std::error_code ignored;
  fs::remove_all(files_, ignored);
  files_ = path_;
  sync_folder(path_);
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
