// One repository in the Hub's cache, in the layout of the Hub's own client (huggingface_hub, "Understand caching"), so
// that each program finds what the other stored:
//
//   models--ORG--NAME/refs/REVISION           the commit that a branch or a tag was last seen at
//   models--ORG--NAME/blobs/ETAG              a file; for large ones ETAG is the SHA-256
//   models--ORG--NAME/snapshots/COMMIT/FILE   a link ../../blobs/ETAG
//   models--ORG--NAME/.no_exist/COMMIT/FILE   an empty file: the commit has no such file
//   .locks/models--ORG--NAME/ETAG.lock        held while a blob is downloaded
//
// REQUIRES: all names are valid (is_commit, is_plain_path, is_plain_name).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace lorikeet {

class HubCache {
 public:
  /// The repository "ORG/NAME" in `root`. Creates nothing.
  HubCache(std::filesystem::path root, const std::string& repository);

  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path lock(const std::string& etag) const;

  /// Returns the last known commit of a branch or a tag.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Returns the file of a snapshot, if it exists.
  std::optional<std::filesystem::path> find(const std::string& commit, const std::string& file) const;
  bool is_known_missing(const std::string& commit, const std::string& file) const;

  void remember(const std::string& revision, const std::string& commit) const;
  void remember_missing(const std::string& commit, const std::string& file) const;
  /// Adds an existing blob to the snapshot: as a link, or as the file itself if the file system has no links or
  /// $HF_HUB_DISABLE_SYMLINKS is set. Returns the path in the snapshot.
  std::filesystem::path add(const std::string& commit, const std::string& file, const std::string& etag) const;
  /// Marks the cache for backup programs (CACHEDIR.TAG), as the client does.
  void tag() const;

 private:
  std::filesystem::path root_;
  std::filesystem::path name_;  // models--ORG--NAME
  std::filesystem::path folder_;
};

/// Whether `text` is a commit: 40 hexadecimal digits.
bool is_commit(std::string_view text);
/// Whether `text`, received from a server, is a safe file name: letters, digits and ._-, starting with a letter or
/// digit.
bool is_plain_name(std::string_view text);
/// Whether `path` is relative with '/' separators and has no component that is empty, "." or "..".
bool is_plain_path(std::string_view path);

}  // namespace lorikeet
