// A model repository of the Hub, downloaded file by file into the Hub's cache: the requests and the layout are those of
// its own client, huggingface_hub (hf_hub_download), and so are the settings (fetch/hub_settings.h).
//
// A file is asked for by HEAD /ORG/NAME/resolve/REVISION/FILE. The answer names the commit (X-Repo-Commit), the content
// (X-Linked-Etag or ETag: for large files the SHA-256), its size, and, by a redirect to another host, where it lies.
// The token is sent to the Hub alone.
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

/// "ORG/NAME" or "ORG/NAME@REVISION", also after timm's "hf-hub:" or "hf_hub:"; nothing where `text` has another form.
std::optional<HubName> parse_hub_name(const std::string& text);

class HubRepository {
 public:
  /// Makes no request. Throws UsageError unless the names are of the form that the Hub has.
  explicit HubRepository(HubName name, DownloadCallback progress = {});

  /// The path of `file` in the cache, downloaded first where it is not there; nothing where the repository has no such
  /// file. The first file that is found pins the commit for the others. A file of a pinned commit that is in the cache
  /// takes no request; neither does any where $HF_HUB_OFFLINE is set. Where the Hub cannot be reached, what the cache
  /// has of the revision is used. Throws Error, saying what to do, where there is no such repository or revision, no
  /// permission, or neither the Hub nor a cached snapshot.
  std::optional<std::filesystem::path> find(const std::string& file);

  /// The folder of the snapshot. REQUIRES: a file was found.
  std::filesystem::path snapshot() const { return cache_.snapshot(commit_); }
  const std::string& repository() const { return name_.repository; }
  /// Empty until a file was found.
  const std::string& commit() const { return commit_; }
  /// Why the cache alone was used: "HF_HUB_OFFLINE is set", "the Hub cannot be reached (…)"; empty where it was not.
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
