#include "train/run_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr const char* kRecipe = "recipe.yaml";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kSummary = "summary.json";
constexpr const char* kLog = "log.txt";
constexpr std::array<const char*, 5> kParts{kRecipe, kMetrics, kSummary, kLog, "adapter"};

// Removes what a run wrote, with the unfinished files and folders (".adapter.Ab3dEf") that one leaves which was killed.
void remove_run(const fs::path& path) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator it(path, ignored), end; !ignored && it != end; it.increment(ignored))
    found.push_back(it->path());
  for (const auto& entry : found) {
    const std::string name = entry.filename().string();
    const bool part = std::any_of(kParts.begin(), kParts.end(),
                                  [&](const char* p) { return name == p || name.starts_with(cat(".", p, ".")); });
    if (part) fs::remove_all(entry, ignored);
  }
}

// The folder, empty of any run. A step of its own, so that the files are opened after it.
fs::path claim(fs::path path, bool replace) {
  if (is_run_folder(path)) {
    if (!replace) {
      fail_usage(path.string(),
                 ": got a folder that holds a run already. Name another with run=FOLDER, or replace it with --force.");
    }
    remove_run(path);
  }
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(path.string(), ": cannot be made: ", error.message(), ".");
  return path;
}

}  // namespace

bool is_run_folder(const fs::path& path) {
  return fs::exists(path / kRecipe) || fs::exists(path / kSummary) || fs::exists(path / "adapter");
}

RunFolder::RunFolder(fs::path path, bool replace)
    : path_(claim(std::move(path), replace)), metrics_(open(kMetrics)), log_(open(kLog)) {}

RunFolder::File RunFolder::open(const char* name) const {
  File file(std::fopen((path_ / name).c_str(), "we"), std::fclose);
  if (!file) fail((path_ / name).string(), ": cannot be written: ", std::strerror(errno), ".");
  return file;
}

void RunFolder::append(const File& file, const char* name, std::string line) const {
  line += '\n';
  if (std::fwrite(line.data(), 1, line.size(), file.get()) != line.size() || std::fflush(file.get()) != 0) {
    fail((path_ / name).string(), ": cannot be written: ", std::strerror(errno), ".");
  }
}

void RunFolder::discard() {
  remove_run(path_);
  std::error_code ignored;
  fs::remove(path_, ignored);
}

void RunFolder::write_recipe(std::string_view yaml) { write_file(path_ / kRecipe, yaml); }

void RunFolder::write_summary(const Json& summary) { write_file(path_ / kSummary, json_text(summary, 2) + "\n"); }

void RunFolder::add_metrics(const Json& metrics) { append(metrics_, kMetrics, json_text(metrics)); }

void RunFolder::add_log(std::string_view line) { append(log_, kLog, std::string(line)); }

}  // namespace lorikeet
