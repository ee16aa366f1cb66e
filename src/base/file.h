// File access: reads with a size limit, and atomic writes (to a temporary name, synced, then renamed).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lorikeet {

/// Returns the content of the file. Throws Error if it cannot be read or is larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit);

/// Random-access reads of an open file or of bytes in memory. Thread-safe.
class InputFile {
 public:
  /// Throws Error if `path` cannot be opened or is not a regular file.
  explicit InputFile(std::filesystem::path path);
  /// Reads from `bytes`, which must outlive the object. `name` is used in error messages.
  InputFile(std::filesystem::path name, std::span<const std::byte> bytes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Fills `into` from byte `offset`. Throws Error if the file is too short.
  void read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::span<const std::byte> bytes_;  // used if there is no descriptor
  std::uint64_t size_ = 0;
};

/// A new file under a temporary name beside `path`. `commit` renames it to `path`; destruction without `commit` removes
/// it. It has the permissions of any new file (0666 minus the umask).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Syncs, closes and renames the file.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// A temporary file, removed on destruction unless it was renamed.
class PassingFile {
 public:
  explicit PassingFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~PassingFile();
  PassingFile(const PassingFile&) = delete;
  PassingFile& operator=(const PassingFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Returns `folder` / `name`. Throws Error if it is a broken link or a link that points outside `folder`, so that an
/// untrusted folder cannot make the program read other files. `folder` itself may be a link, and files of a snapshot in
/// the Hugging Face Hub's cache may link to that cache's blobs.
std::filesystem::path path_inside(const std::filesystem::path& folder, const std::string& name);

/// Returns the folder that contains `path`, "." for a bare name.
std::filesystem::path parent_of(const std::filesystem::path& path);

/// "runs/a/" → "runs/a". Shell completion adds the slash, which leaves no file name.
std::filesystem::path without_trailing_slash(const std::filesystem::path& path);

/// Calls write(2) until all bytes are written, and adds the count to `written`. Returns false, with errno set, on
/// failure.
bool write_all(int descriptor, const void* bytes, std::size_t count, std::uint64_t& written);

/// Says what to do about an error of open(2), write(2) or rename(2) on a file that is written: a sentence after a
/// space, or nothing.
std::string write_hint(int error);

/// Moves the folder `fresh` to `target` on the same file system, by atomic exchange if `target` exists and the file
/// system supports it. An old `target` ends up at `fresh` or is removed. Throws Error on failure and leaves `target`
/// unchanged.
void move_into_place(const std::filesystem::path& fresh, const std::filesystem::path& target);

/// Syncs `folder` if its file system supports it, so that renames in it survive a crash. Throws Error if that fails.
void sync_folder(const std::filesystem::path& folder);

/// Writes `content` to `path` atomically.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Calls `fill` with a new empty folder and then moves it to `folder`, replacing any old one. `folder` may end with a
/// slash, or be a link to the folder to replace. At any time `folder` is absent, the complete old one or the complete
/// new one.
void replace_folder(const std::filesystem::path& folder, const std::function<void(const std::filesystem::path&)>& fill);

/// The folder for weights and data: $LORIKEET_HOME, else $XDG_CACHE_HOME/lorikeet, else ~/.cache/lorikeet.
std::filesystem::path home_folder();

}  // namespace lorikeet
