#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/text.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

namespace fs = std::filesystem;

namespace lorikeet {

fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

namespace {

[[noreturn]] void fail_write(const fs::path& path, int error) {
  fail(path.string(), ": cannot be written: ", std::strerror(error), ".", write_hint(error));
}

[[noreturn]] void fail_end(const fs::path& path, std::uint64_t at, std::size_t missing) {
  fail(path.string(), ": got its end at byte ", at, ", expected ", counted(missing, "byte"),
       " more. The file is truncated.");
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(folder.string(), ": cannot be created: ", error.message(), ".");
}

// Resolves `path` if it is a link, "." or "..".
fs::path actual_folder(const fs::path& path) {
  const fs::path plain = without_trailing_slash(path);
  std::error_code error;
  const fs::path canonical = fs::canonical(plain, error);
  return error ? plain : canonical;
}

// Calls `make(name)` with hidden names beside `path` until it returns a value of at least 0, which it stores in
// `result`. Returns the name. Throws Error if `make` fails for any reason but an existing name.
template <typename Make>
fs::path make_beside(const fs::path& path, int& result, Make make) {
  constexpr int kAttempts = 100;
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::size_t kLongestName = 200;  // file systems allow 255 bytes
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string name = "." + path.filename().string().substr(0, kLongestName) + ".";
    for (int i = 0; i < 6; ++i) name += kLetters[random() % kLetters.size()];
    const fs::path candidate = parent_of(path) / name;
    result = make(candidate.c_str());
    if (result >= 0) return candidate;
    if (errno != EEXIST) break;
  }
  fail_write(path, errno);
}

// Whether `target` is a blob of a Hugging Face Hub cache and `folder` is (in) a snapshot of the same cache:
// CACHE/snapshots/REVISION/…/FILE links to CACHE/blobs/HASH. REQUIRES: both paths are canonical.
bool is_blob_of_snapshot(const fs::path& target, const fs::path& folder) {
  for (fs::path part = folder; part.has_relative_path(); part = part.parent_path()) {
    const fs::path snapshots = part.parent_path();
    if (snapshots.filename() == "snapshots" && target.parent_path() == snapshots.parent_path() / "blobs") return true;
  }
  return false;
}

}  // namespace

std::string write_hint(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return " Free some space or choose another place; no partial file was left.";
    case EROFS:
    case EACCES:
    case EPERM: return " Choose a folder that you may write to.";
    case EIO: return " Check the disk or the network drive; no partial file was left.";
    default: return "";
  }
}

fs::path path_inside(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / name;
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  const fs::path target = fs::canonical(path, error);
  if (error) fail(path.string(), ": got a broken link (", error.message(), "), expected a file.");
  const fs::path canonical = fs::canonical(folder, error);
  const fs::path inside = target.lexically_relative(canonical);
  const bool leaves = error || inside.empty() || *inside.begin() == "..";
  if (leaves && (error || !is_blob_of_snapshot(target, canonical))) {
    fail(path.string(), ": got a link to a file outside its folder, ", printable(target.string()),
         ", expected a file. Copy it into the folder.");
  }
  return path;
}

InputFile::InputFile(fs::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a named pipe does not wait for its writer
  if (descriptor_ < 0) fail(path_.string(), ": cannot be opened: ", std::strerror(errno), ".");
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    fail(path_.string(), ": got ", S_ISDIR(status.st_mode) ? "a folder" : "something that is not a regular file",
         ", expected a file.");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::InputFile(fs::path name, std::span<const std::byte> bytes)
    : path_(std::move(name)), bytes_(bytes), size_(bytes.size()) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (descriptor_ < 0) {
    const auto rest = bytes_.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_.size())));
    const std::size_t part = std::min(rest.size(), into.size());
    std::copy_n(rest.begin(), part, into.begin());
    if (part < into.size()) fail_end(path_, offset + part, into.size() - part);
    return;
  }
  while (!into.empty()) {
    const ssize_t got = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_.string(), ": cannot be read: ", std::strerror(errno), ".");
    if (got == 0) fail_end(path_, offset, into.size());
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
}

std::string read_file(const fs::path& path, std::uint64_t limit) {
  const InputFile file(path);
  if (file.size() > limit) {
    fail(path.string(), ": got ", human_bytes(file.size()), ", expected at most ", human_bytes(limit), ".");
  }
  std::string content(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  make_folders(parent_of(path_));
  // Renaming the new file to it would replace a device or a pipe by a file.
  std::error_code none;
  const fs::file_status status = fs::status(path_, none);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status))
    fail(path_.string(), ": got a device or a pipe, expected a file or an unused name.");
  // mkostemp would set mode 0600, and the umask needed to widen it can only be read by changing it.
  temporary_ = make_beside(path_, descriptor_,
                           [](const char* name) { return ::open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

bool write_all(int descriptor, const void* bytes, std::size_t count, std::uint64_t& written) {
  const char* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t put = ::write(descriptor, from, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    from += put;
    count -= static_cast<std::size_t>(put);
    written += static_cast<std::uint64_t>(put);
  }
  return true;
}

void AtomicFile::write(const void* bytes, std::size_t count) {
  std::uint64_t written = 0;
  if (!write_all(descriptor_, bytes, count, written)) fail_write(path_, errno);
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_write(path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_write(path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_write(path_, errno);
  temporary_.clear();
  sync_folder(parent_of(path_));
}

PassingFile::~PassingFile() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // some file systems cannot open folders; the rename itself succeeded
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0 && error != EINVAL && error != ENOTSUP && error != EROFS) fail_write(folder, error);
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void move_into_place(const fs::path& fresh, const fs::path& target) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  // No existing folder, or the file system cannot exchange: move the old folder away first.
  const fs::path aside = fresh.string() + ".old";
  const bool had_old = ::rename(target.c_str(), aside.c_str()) == 0;
  if (::rename(fresh.c_str(), target.c_str()) != 0) {
    const int error = errno;
    if (had_old) static_cast<void>(::rename(aside.c_str(), target.c_str()));
    fail_write(target, error);
  }
  std::error_code ignored;
  if (had_old) fs::remove_all(aside, ignored);
}

void replace_folder(const fs::path& path, const std::function<void(const fs::path&)>& fill) {
  const fs::path folder = actual_folder(path);
  if (!folder.has_filename()) fail(printable(path.string()), ": got no folder name, expected one to write to.");
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !fs::is_directory(folder, ignored))
    fail(folder.string(), ": got a file, expected a folder or an unused name.");
  make_folders(parent_of(folder));
  int made = 0;
  const fs::path temporary = make_beside(folder, made, [](const char* name) { return ::mkdir(name, 0777); });
  struct Cleaner {
    fs::path path;
    ~Cleaner() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } cleaner{temporary};  // after the exchange, this removes the old folder

  fill(temporary);
  sync_folder(temporary);
  move_into_place(temporary, folder);
  sync_folder(parent_of(folder));
}

fs::path home_folder() {
  if (const char* home = std::getenv("LORIKEET_HOME"); home != nullptr && *home != '\0') return home;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return fs::path(cache) / "lorikeet";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache" / "lorikeet";
  fail("LORIKEET_HOME: got neither it nor HOME in the environment, expected a folder for weights and data.");
}

}  // namespace lorikeet
