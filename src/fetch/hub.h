// A model repository of the Hugging Face Hub, downloaded file by file into the Hub's cache. Requests, layout and
// settings (fetch/hub_settings.h) follow its own client, huggingface_hub (hf_hub_download).
//
// A file is requested by HEAD /ORG/NAME/resolve/REVISION/FILE. The response contains the commit (X-Repo-Commit), the
// checksum (X-Linked-Etag or ETag; the SHA-256 of large files), the size and, as a redirect to another host, the
// location of the content. The token is sent only to the Hub.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "fetch/hub_cache.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct HubName {
  /// "ORG/NAME".
  std::string repository;
  /// A branch, a tag or a commit.
  std::string revision = "main";
};

/// Parses "ORG/NAME" or "ORG/NAME@REVISION", optionally after timm's "hf-hub:" or "hf_hub:"; empty for any other text.
std::optional<HubName> parse_hub_name(const std::string& text);

class HubRepository {
 public:
  /// Makes no request. Throws UsageError unless the names are valid on the Hub.
  explicit HubRepository(HubName name, DownloadCallback progress = {});

  /// Returns the path of `file` in the cache, downloaded if necessary; empty if the repository has no such file. The
  /// first file found determines the commit of the others. A cached file of a known commit needs no request, and
  /// $HF_HUB_OFFLINE disables all requests. If the Hub is not reachable, the cached files of the revision are used.
  /// Throws Error, with a hint, if the repository or revision does not exist, access is denied, or neither the Hub nor
  /// a cached snapshot is available.
  std::optional<std::filesystem::path> find(const std::string& file);

  /// The folder of the snapshot. REQUIRES: a file was found.
  std::filesystem::path snapshot() const { return cache_.snapshot(commit_); }
  const std::string& repository() const { return name_.repository; }
  /// Empty until a file is found.
  const std::string& commit() const { return commit_; }
  /// Why only the cache was used: "HF_HUB_OFFLINE is set", "the Hub cannot be reached (…)"; empty otherwise.
  const std::string& offline_reason() const { return offline_reason_; }

 private:
  struct Answer;
  Answer ask(const std::string& file) const;
  [[noreturn]] void refuse(const Answer& answer) const;
  std::optional<std::string> cached_commit() const;
  void remember_commit() const;
  std::filesystem::path store(const std::string& file, const Answer& answer) const;
  void wait(const std::string& file) const;

  HubName name_;
  DownloadCallback progress_;
  std::string endpoint_;
  std::string token_;
  HubCache cache_;
  std::string commit_;
  std::string offline_reason_;
};

}  // namespace lorikeet
