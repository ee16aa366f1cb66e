// Files that are read up to a limit, and written completely or not at all: to a temporary name, synced, then renamed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lorikeet {

/// The content of the file. Throws Error where it cannot be read or is larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit);

/// Random-access reads of one open file, or of bytes that are in memory. Thread-safe.
class InputFile {
 public:
  /// Throws Error where `path` cannot be opened or is not a regular file.
  explicit InputFile(std::filesystem::path path);
  /// `bytes`, which must outlive the object, as if they were the file `name`.
  InputFile(std::filesystem::path name, std::span<const std::byte> bytes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Fills `into` from byte `offset` on; throws Error where the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::span<const std::byte> bytes_;  // where there is no descriptor
  std::uint64_t size_ = 0;
};

/// A new file under a temporary name beside `path`; `commit` puts it in place, destruction without it removes it. Its
/// permissions are those of any new file (0666 less the umask).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Syncs, closes and renames.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// A temporary file: removed with the object, unless it has been renamed.
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

/// `folder` / `name`. Throws Error where that is a link that leads out of the folder, or nowhere: a folder from
/// elsewhere must not make us read other files of the machine. `folder` itself may be a link, and a snapshot in the
/// Hugging Face Hub's cache may link to the blobs of that cache.
std::filesystem::path path_inside(const std::filesystem::path& folder, const std::string& name);

/// The folder that `path` lies in: "." for a name without a folder.
std::filesystem::path parent_of(const std::filesystem::path& path);

/// "runs/a/" → "runs/a": a shell completes a folder's name with the slash, after which there is no file name.
std::filesystem::path without_trailing_slash(const std::filesystem::path& path);

/// write(2) until everything is written. `written` grows with what is. False, with errno set, if that fails.
bool write_all(int descriptor, const void* bytes, std::size_t count, std::uint64_t& written);

/// Moves the folder `fresh` to `target`, on the same file system: in one atomic exchange if there is a folder at
/// `target` and the file system can exchange. What was at `target` is then at `fresh`, or removed. Throws Error if it
/// fails; `target` is then as it was.
void move_into_place(const std::filesystem::path& fresh, const std::filesystem::path& target);

/// Syncs `folder`, so that renames in it survive a crash, if its file system can.
void sync_folder(const std::filesystem::path& folder);

/// Writes `content` to `path`, completely or not at all.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Calls `fill` with a new empty folder, then puts it in the place of `folder`, replacing one that was there. `folder`
/// may end with a slash, and may be a link to the folder that is meant.
/// At every moment `folder` is absent, the old one or the new one, complete.
void replace_folder(const std::filesystem::path& folder, const std::function<void(const std::filesystem::path&)>& fill);

/// $LORIKEET_HOME, else $XDG_CACHE_HOME/lorikeet, else ~/.cache/lorikeet: where weights and data are kept.
std::filesystem::path home_folder();

}  // namespace lorikeet
