#include "fetch/hub_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "fetch/hub_settings.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxRef = 1000;
constexpr std::size_t kLongestName = 200;

// The client's text, so that either program can write the file.
constexpr const char* kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n";

std::string folder_name(std::string repository) {
  if (const auto slash = repository.find('/'); slash != std::string::npos) repository.replace(slash, 1, "--");
  return "models--" + repository;
}

void create_folder_of(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) fail(path.parent_path().string(), ": cannot be created: ", error.message(), ".");
}

// Creates a link at `path` atomically: another process may create the same one.
bool put_link(const fs::path& target, const fs::path& path) {
  const fs::path temporary = cat(path.string(), ".", ::getpid(), ".tmp");
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (error) return false;
  fs::rename(temporary, path, error);
  if (error) fail(path.string(), ": cannot be written: ", error.message(), ".");
  return true;
}

}  // namespace

HubCache::HubCache(fs::path root, const std::string& repository)
    : root_(std::move(root)), name_(folder_name(repository)), folder_(root_ / name_) {}

fs::path HubCache::lock(const std::string& etag) const { return root_ / ".locks" / name_ / (etag + ".lock"); }

std::optional<std::string> HubCache::commit_of(const std::string& revision) const {
  const fs::path path = folder_ / "refs" / revision;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  std::string commit = read_file(path, kMaxRef);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  if (!is_plain_name(commit)) fail(path.string(), ": got '", printable(commit), "', expected a commit. Remove it.");
  return commit;
}

std::optional<fs::path> HubCache::find(const std::string& commit, const std::string& file) const {
  fs::path path = snapshot(commit) / file;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;  // includes links whose blob was removed
  return path;
}

bool HubCache::is_known_missing(const std::string& commit, const std::string& file) const {
  std::error_code ignored;
  return fs::is_regular_file(folder_ / ".no_exist" / commit / file, ignored);
}

void HubCache::remember(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored) && read_file(path, kMaxRef) == commit) return;
  create_folder_of(path);
  write_file(path, commit);
}

void HubCache::remember_missing(const std::string& commit, const std::string& file) const {
  if (is_known_missing(commit, file)) return;
  const fs::path path = folder_ / ".no_exist" / commit / file;
  create_folder_of(path);
  write_file(path, "");
}

fs::path HubCache::add(const std::string& commit, const std::string& file, const std::string& etag) const {
  const fs::path path = snapshot(commit) / file;
  create_folder_of(path);
  const fs::path source = blob(etag);
  if (!hub_without_links() && put_link(source.lexically_relative(path.parent_path()), path)) return path;
  std::error_code error;
  fs::rename(source, path, error);
  if (error) fail(path.string(), ": cannot be written: ", error.message(), ".");
  return path;
}

void HubCache::tag() const {
  const fs::path path = root_ / "CACHEDIR.TAG";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) write_file(path, kCacheTag);
}

bool is_commit(std::string_view text) {
  constexpr std::size_t kDigits = 40;
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_plain_name(std::string_view text) {
  const auto is_letter_or_digit = [](unsigned char c) { return c < 0x80 && std::isalnum(c) != 0; };
  return !text.empty() && text.size() <= kLongestName && is_letter_or_digit(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(),
                     [&](unsigned char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_plain_path(std::string_view path) {
  if (path.size() > 4 * kLongestName || path.find('\\') != path.npos) return false;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    const bool has_control = std::any_of(part.begin(), part.end(), [](unsigned char c) { return c < ' ' || c == 127; });
    if (part.empty() || part == "." || part == ".." || part.size() > kLongestName || has_control) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace lorikeet
