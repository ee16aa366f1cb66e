#include "fetch/hub.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "fetch/curl_request.h"
#include "fetch/download.h"
#include "fetch/file_lock.h"
#include "fetch/hub_settings.h"
#include "fetch/retries.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr int kRetries = 5;
constexpr int kMaxRedirectsOfHub = 20;
constexpr std::uint64_t kMaxHubFile = 50'000'000'000;  // the client's limit for HTTP downloads
constexpr std::size_t kLongestRepository = 96;
constexpr std::size_t kSha256 = 64;

constexpr long kUnauthorised = 401;
constexpr long kForbidden = 403;
constexpr long kNotFound = 404;
constexpr long kTooManyRequests = 429;

bool is_unreserved(unsigned char c) {
  return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~');
}

// Python's urllib.parse.quote.
std::string quoted(const std::string& text, bool keep_slashes) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const unsigned char c : text) {
    if (is_unreserved(c) || (keep_slashes && c == '/')) {
      out += static_cast<char>(c);
    } else {
      out += {'%', kDigits[c >> 4], kDigits[c & 15]};
    }
  }
  return out;
}

// "https://host:443", for comparison; "" if it is not a URL.
std::string origin(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  std::string out;
  for (const auto part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    out += cat(text, " ");
    curl_free(text);
  }
  return lowercase(out);
}

// Resolves the redirect `location` relative to `url`; "" if it is not a URL.
std::string resolved(const std::string& url, const std::string& location) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  char* text = nullptr;
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_set(parsed.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_URL, &text, 0) != CURLUE_OK)
    return "";
  const std::string out = text;
  curl_free(text);
  return out;
}

// W/"abc" → abc.
std::string plain_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

bool is_repository(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (name.size() > kLongestRepository || name.find("--") != name.npos || name.find("..") != name.npos ||
      name.ends_with(".git"))
    return false;
  const auto is_part = [](std::string_view part) {
    return is_plain_name(part) && part.back() != '.' && part.back() != '-';
  };
  return slash == name.npos ? is_part(name) : is_part(name.substr(0, slash)) && is_part(name.substr(slash + 1));
}

}  // namespace

// The Hub's response for a file.
struct HubRepository::Answer {
  std::string url;
  /// 0 if there was no response.
  long status = 0;
  HttpHeaders headers = {};
  /// Why there was no response.
  std::string reason = {};

  std::string header(const char* name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  bool is_file() const { return status >= 200 && status < 400; }
  bool is_passing() const { return status == 0 || lorikeet::is_passing(status); }
  // `is_known`: the repository and the revision exist, which a mirror may not say otherwise.
  bool lacks_file(bool is_known) const {
    const std::string code = header("x-error-code");
    return code == "EntryNotFound" || (status == kNotFound && code.empty() && is_known);
  }
};

std::optional<HubName> parse_hub_name(const std::string& text) {
  std::string_view rest = text;
  bool has_prefix = false;
  for (const std::string_view prefix : {"hf-hub:", "hf_hub:"}) {
    if (!has_prefix && rest.starts_with(prefix)) {
      rest.remove_prefix(prefix.size());
      has_prefix = true;
    }
  }
  HubName name;
  if (const std::size_t at = rest.find('@'); at != rest.npos) {
    name.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
  }
  name.repository = rest;
  const bool is_hub = is_repository(rest) && is_plain_path(name.revision);
  if (!is_hub || (!has_prefix && rest.find('/') == rest.npos)) return std::nullopt;
  return name;
}

HubRepository::HubRepository(HubName name, DownloadCallback progress)
    : name_(std::move(name)), progress_(std::move(progress)), endpoint_(hub_endpoint()), token_(hub_token()),
      cache_(hub_cache_folder(), name_.repository) {
  if (!is_repository(name_.repository)) {
    fail_usage("the Hub: got the repository '", printable(name_.repository),
               "', expected ORG/NAME of letters, digits and - _ . , without -- and .. in it.");
  }
  if (!is_plain_path(name_.revision)) {
    fail_usage(name_.repository, ": got the revision '", printable(name_.revision),
               "', expected a branch, a tag or a commit.");
  }
}

void HubRepository::wait(const std::string& file) const {
  if (progress_) progress_({name_.repository + "/" + file, 0, 0});
}

HubRepository::Answer HubRepository::ask(const std::string& file) const {
  const std::string& revision = commit_.empty() ? name_.revision : commit_;
  std::string url =
      cat(endpoint_, "/", name_.repository, "/resolve/", quoted(revision, false), "/", quoted(file, true));
  std::vector<std::string> headers{"Accept-Encoding: identity"};  // for the size of the uncompressed file
  if (!token_.empty()) headers.push_back("Authorization: Bearer " + token_);
  for (int redirects = 0; redirects < kMaxRedirectsOfHub; ++redirects) {
    CurlRequest request(url, headers);
    request.set(CURLOPT_NOBODY, 1L);
    const CURLcode code = request.perform();
    Answer answer{url, code == CURLE_OK ? request.status() : 0, request.answered(), ""};
    if (answer.status == 0) answer.reason = request.reason(code);
    const std::string location = answer.header("location");
    if (answer.status < 300 || answer.status >= 400 || location.empty()) return answer;
    std::string next = resolved(url, location);
    const std::string host = origin(next);
    if (host.empty()) {
      fail(name_.repository, "/", file, ": got a redirect to '", printable(location), "', expected an address.");
    }
    const bool stays = host == origin(url) || host == origin(endpoint_) || host == origin(kDefaultHubEndpoint);
    if (!stays) {  // a redirect to the content; this response has its metadata
      answer.headers["location"] = next;
      return answer;
    }
    url = std::move(next);
  }
  fail(name_.repository, "/", file, ": got more than ", kMaxRedirectsOfHub, " redirects, expected a file.");
}

void HubRepository::refuse(const Answer& answer) const {
  const std::string where = name_.repository + ": ";
  const std::string code = answer.header("x-error-code");
  const std::string said = printable(answer.header("x-error-message"), 200);
  const std::string quote = said.empty() ? "" : cat(" (", said, ")");
  const char* access = token_.empty()
                           ? "If it is private or gated, set HF_TOKEN to a token that may read it."
                           : "If it is private or gated, the token of HF_TOKEN must be one that may read it.";
  if (answer.status == 0) {
    fail(where, "the Hub cannot be reached: ", shown_address(answer.url), ": ", answer.reason, ", and ",
         cache_.snapshot("").parent_path().parent_path().string(), " has nothing of the revision '",
         printable(name_.revision), "'. Check the network and HF_ENDPOINT.");
  }
  if (code == "RevisionNotFound") {
    fail(where, "got the revision '", printable(name_.revision),
         "', which the repository does not have, expected a branch, a tag or a commit of it.");
  }
  if (code == "GatedRepo") {
    fail(where, "access to this gated repository is not granted", quote,
         ". Accept its conditions on its page of the Hub", token_.empty() ? ", and set HF_TOKEN to your token." : ".");
  }
  if (answer.status == kUnauthorised && answer.header("x-error-message").starts_with("Invalid credentials"))
    fail(where, "the Hub refuses the token of HF_TOKEN", quote, ". Set a valid one, or unset it for public models.");
  if (code == "RepoNotFound" || answer.status == kUnauthorised || answer.status == kNotFound) {
    fail(where, "got HTTP ", answer.status, " from ", shown_address(answer.url), quote,
         ", expected a repository of that name. ", access);
  }
  if (answer.status == kForbidden) fail(where, "got HTTP 403 (forbidden)", quote, ", expected access. ", access);
  if (answer.status == kTooManyRequests) {
    const auto delay = asked_delay(answer.headers);
    fail(where, "got HTTP 429 (too many requests)", quote, ". Try again ",
         delay ? cat("in ", counted(*delay, "second")) : "later",
         token_.empty() ? "; with HF_TOKEN set the Hub allows more." : ".");
  }
  fail(where, "got HTTP ", answer.status, " from ", shown_address(answer.url), quote, ", expected a file.",
       answer.is_passing() ? " Try again later." : "");
}

std::optional<std::string> HubRepository::cached_commit() const {
  if (!commit_.empty()) return commit_;
  auto commit = is_commit(name_.revision) ? name_.revision : cache_.commit_of(name_.revision);
  std::error_code ignored;
  if (!commit || !fs::is_directory(cache_.snapshot(*commit), ignored)) return std::nullopt;
  return commit;
}

// A read-only cache is still usable.
void HubRepository::remember_commit() const {
  try {
    cache_.remember(name_.revision, commit_);
  } catch (const Error&) {
  }
}

fs::path HubRepository::store(const std::string& file, const Answer& answer) const {
  const std::string where = name_.repository + "/" + file + ": ";
  const bool is_linked = !answer.header("x-linked-etag").empty();
  const std::string etag = plain_etag(answer.header(is_linked ? "x-linked-etag" : "etag"));
  if (!is_plain_name(etag)) {
    fail(where, "got the ETag '", printable(etag), "' from ", shown_address(answer.url),
         ", expected a checksum. Check HF_ENDPOINT.");
  }
  const bool moved = !answer.header("location").empty();
  std::string length = answer.header("x-linked-size");
  if (length.empty() && !moved) length = answer.header("content-length");
  std::uint64_t size = 0;
  std::from_chars(length.data(), length.data() + length.size(), size);
  if (size > kMaxHubFile)
    fail(where, "got a file of ", human_bytes(size), ", expected at most ", human_bytes(kMaxHubFile), ".");

  const FileLock lock(cache_.lock(etag), [&] { wait(file); });
  if (const auto path = cache_.find(commit_, file)) return *path;  // stored in the meantime
  std::error_code ignored;
  if (!fs::is_regular_file(cache_.blob(etag), ignored)) {
    const bool is_sha256 = etag.size() == kSha256 && etag.find_first_not_of("0123456789abcdef") == std::string::npos;
    std::vector<std::string> headers;
    if (!token_.empty() && !moved) headers.push_back("Authorization: Bearer " + token_);
    download({.urls = {moved ? answer.header("location") : answer.url},
              .sha256 = is_sha256 ? etag : "",
              .destination = cache_.blob(etag),
              .name = name_.repository + "/" + file,
              .size = size,
              .limit = kMaxHubFile,
              .progress = progress_,
              .hint = "What has arrived is kept; the next attempt resumes it.",
              .headers = std::move(headers),
              .part_ending = ".incomplete",
              .retries = kRetries,
              .use_mirror = false});
  }
  return cache_.add(commit_, file, etag);
}

std::optional<fs::path> HubRepository::find(const std::string& file) {
  if (!is_plain_path(file)) {
    fail(name_.repository, ": got the file name '", printable(file),
         "', expected a relative path inside the repository.");
  }
  const std::string& revision = commit_.empty() ? name_.revision : commit_;
  if (is_commit(revision)) {
    if (auto path = cache_.find(revision, file)) {
      commit_ = revision;
      return path;
    }
    if (cache_.is_known_missing(revision, file)) return std::nullopt;
  }
  if (hub_is_offline() || !offline_reason_.empty()) {
    if (offline_reason_.empty()) offline_reason_ = "HF_HUB_OFFLINE is set";
    const auto commit = cached_commit();
    if (!commit) {
      fail(name_.repository, ": got no snapshot of the revision '", printable(name_.revision), "' in ",
           hub_cache_folder().string(), ", and ", offline_reason_, ". Download it first: lorikeet models get ",
           name_.repository);
    }
    commit_ = *commit;
    return cache_.find(commit_, file);
  }

  const bool is_known = !commit_.empty();
  Answer answer = ask(file);
  if (!answer.is_file() && !answer.lacks_file(is_known)) {
    const bool is_wrong_revision = answer.header("x-error-code") == "RevisionNotFound";
    const auto cached = is_wrong_revision ? std::nullopt : cached_commit();
    const auto path = cached ? cache_.find(*cached, file) : std::nullopt;
    if (path || (cached && answer.status == 0)) {
      commit_ = *cached;
      offline_reason_ = answer.status == 0 ? cat("the Hub cannot be reached (", answer.reason, ")")
                                           : cat("the Hub answers HTTP ", answer.status);
      return path;
    }
    Retries retries(kRetries, [&] { wait(file); });
    while (lorikeet::is_passing(answer.status) && retries.wait(answer.headers)) answer = ask(file);
    if (!answer.is_file() && !answer.lacks_file(is_known)) refuse(answer);
  }

  const std::string commit = answer.header("x-repo-commit");
  if (answer.lacks_file(is_known) && commit.empty()) return std::nullopt;
  if (!is_plain_name(commit)) {
    fail(name_.repository, ": got no X-Repo-Commit in the answer of ", shown_address(answer.url),
         ", expected the Hub's. Check HF_ENDPOINT, and proxies.");
  }
  if (commit_.empty()) commit_ = commit;
  if (answer.lacks_file(is_known)) {
    try {
      cache_.remember_missing(commit_, file);
    } catch (const Error&) {  // as above
    }
    remember_commit();
    return std::nullopt;
  }
  auto path = cache_.find(commit_, file);
  if (!path) {
    cache_.tag();
    path = store(file, answer);
  }
  remember_commit();
  return path;
}

}  // namespace lorikeet
