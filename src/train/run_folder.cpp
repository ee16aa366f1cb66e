#include "train/run_folder.h"

#include <array>
#include <cerrno>
#include <cstring>

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

// The folder, empty of any run. A step of its own, so that the files are opened after it.
fs::path claim(fs::path path, bool replace) {
  if (is_run_folder(path)) {
    if (!replace) {
      fail_usage(path.string(), ": got a folder that holds a run already. Name another with run=FOLDER, or replace it with --force.");
    }
    for (const char* part : kParts) fs::remove_all(path / part);
  }
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(path.string(), ": cannot be made: ", error.message(), ".");
  return path;
}

}  // namespace

bool is_run_folder(const fs::path& path) { return fs::exists(path / kRecipe) || fs::exists(path / kSummary) || fs::exists(path / "adapter"); }

RunFolder::RunFolder(fs::path path, bool replace) : path_(claim(std::move(path), replace)), metrics_(open(kMetrics)), log_(open(kLog)) {}

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
  std::error_code ignored;
  for (const char* part : kParts) fs::remove_all(path_ / part, ignored);
  fs::remove(path_, ignored);
}

void RunFolder::write_recipe(std::string_view yaml) { write_file(path_ / kRecipe, yaml); }

void RunFolder::write_summary(const Json& summary) { write_file(path_ / kSummary, summary.dump(2) + "\n"); }

void RunFolder::add_metrics(const Json& metrics) { append(metrics_, kMetrics, metrics.dump()); }

void RunFolder::add_log(std::string_view line) { append(log_, kLog, std::string(line)); }

}  // namespace lorikeet
