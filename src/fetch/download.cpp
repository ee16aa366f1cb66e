#include "fetch/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "fetch/part_file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kMaxRedirects = 10;
constexpr long kConnectSeconds = 8;  // short, for offline machines whose firewall drops packets
constexpr long kSlowBytesPerSecond = 100;
constexpr long kSlowSeconds = 30;
constexpr long kReceiveBuffer = 1 << 18;
constexpr auto kReportEvery = std::chrono::milliseconds(200);
[[maybe_unused]] constexpr std::size_t kSha256Digits = 64;
[[maybe_unused]] constexpr std::size_t kMinSha256Digits = 8;
constexpr std::size_t kLongestAddress = 300;

constexpr long kOk = 200;
constexpr long kPartialContent = 206;
constexpr long kRangeNotSatisfiable = 416;

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// An address for a message: without the user and password that a mirror's may hold.
std::string shown(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", from), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  if (at == std::string::npos || at < from) return printable(url, kLongestAddress);
  return printable(url.substr(0, from) + url.substr(at + 1), kLongestAddress);
}

// The first byte of "Content-Range: bytes 100-199/200".
std::optional<std::uint64_t> range_start(std::string_view header) {
  constexpr std::string_view kName = "content-range:";
  const std::string line = lower(header);
  if (!line.starts_with(kName)) return std::nullopt;
  const std::size_t unit = line.find("bytes", kName.size());
  const std::size_t digits = unit == std::string::npos ? unit : line.find_first_of("0123456789", unit);
  if (digits == std::string::npos) return std::nullopt;
  std::uint64_t start = 0;
  const auto result = std::from_chars(line.data() + digits, line.data() + line.size(), start);
  if (result.ec != std::errc() || *result.ptr != '-') return std::nullopt;  // as in "bytes */200"
  return start;
}

// One request to one address, appended to the part file. What its callbacks throw must not cross libcurl's frames: it
// is kept, and thrown again once libcurl has returned.
class Transfer {
 public:
  enum class Result { kDone, kFailed, kBeginAnew };

  Transfer(const Download& request, PartFile& part) : request_(request), part_(part), handle_(curl_easy_init()) {
    if (handle_ == nullptr) fail("libcurl: cannot be started.");
  }

  Result run(const std::string& url) {
    offset_ = part_.size();
    set_options(url);
    const CURLcode code = curl_easy_perform(handle_.get());
    if (thrown_) std::rethrow_exception(thrown_);
    if (status() == kRangeNotSatisfiable && offset_ > 0) return Result::kBeginAnew;
    if (code == CURLE_OK && !body_begun_) begin_body();  // an empty file
    if (other_range_) return Result::kBeginAnew;
    if (!refusal_.empty()) return Result::kFailed;
    if (code == CURLE_OK) {
      report(part_.size());
      return Result::kDone;
    }
    if (code == CURLE_HTTP_RETURNED_ERROR) {
      refusal_ = cat("HTTP ", status());
    } else {
      refusal_ = printable(error_.front() != '\0' ? error_.data() : curl_easy_strerror(code), kLongestAddress);
    }
    return Result::kFailed;
  }

  /// Whether it went on where an earlier one stopped.
  bool resumed() const { return offset_ > 0; }
  /// Why it failed.
  const std::string& reason() const { return refusal_; }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle_.get(), option, value);
    if (code != CURLE_OK) fail("libcurl: option ", static_cast<int>(option), ": ", curl_easy_strerror(code), ".");
  }

  void set_options(const std::string& url) {
#if LIBCURL_VERSION_NUM >= 0x075500  // 7.85.0
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "lorikeet");
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, kMaxRedirects);
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
    set(CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
    set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
    set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    if (request_.progress) {
      set(CURLOPT_NOPROGRESS, 0L);
      set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
      set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
    }
    // Not RESUME_FROM: libcurl takes a 416 for the end of a whole file then, and a 200 for an error.
    if (offset_ > 0) set(CURLOPT_RANGE, cat(offset_, "-").c_str());
  }

  long status() const {
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  // Whether the answer is what was asked for; reserves the space for it.
  bool begin_body() {
    body_begun_ = true;
    const long code = status();
    if (code == kPartialContent && offset_ > 0) {
      other_range_ = range_start_ != offset_;
      if (other_range_) return false;
    } else if (code == kOk) {
      if (offset_ > 0) part_.clear();  // the server knows no ranges
      offset_ = 0;
    } else {
      refusal_ = cat("HTTP ", code);
      return false;
    }
    curl_off_t length = -1;
    curl_easy_getinfo(handle_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0) total_ = offset_ + static_cast<std::uint64_t>(length);
    return total_ <= request_.limit || refuse_size();
  }

  bool refuse_size() {
    const std::string size = total_ > request_.limit ? human_bytes(total_) : "more than " + human_bytes(request_.limit);
    refusal_ = cat("got ", size, ", expected at most ", human_bytes(request_.limit));
    part_.clear();
    return false;
  }

  bool add(const char* bytes, std::size_t count) {
    if (!body_begun_ && !begin_body()) return false;
    if (part_.size() + count > request_.limit) return refuse_size();
    part_.append(bytes, count);
    return true;
  }

  void report(std::uint64_t total) {
    if (request_.progress) request_.progress({request_.destination.filename().string(), part_.size(), total});
  }

  // Whether `action` returned true; keeps what it throws.
  template <typename Action>
  bool guarded(const Action& action) {
    try {
      return action();
    } catch (...) {
      thrown_ = std::current_exception();
      return false;
    }
  }

  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    const std::string_view line(bytes, size * count);
    const bool ok = self.guarded([&] {
      if (line.starts_with("HTTP/")) self.range_start_.reset();  // a new answer, after a redirect
      if (const auto start = range_start(line)) self.range_start_ = start;
      return true;
    });
    return ok ? size * count : 0;
  }

  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    return self.guarded([&] { return self.add(bytes, size * count); }) ? size * count : 0;
  }

  static int on_progress(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    if (self.last_report_ && Clock::now() - *self.last_report_ < kReportEvery) return 0;
    self.last_report_ = Clock::now();
    const bool ok = self.guarded([&] {
      self.report(self.total_);
      return true;
    });
    return ok ? 0 : 1;
  }

  const Download& request_;
  PartFile& part_;
  std::unique_ptr<CURL, CloseHandle> handle_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::uint64_t offset_ = 0;  // where the body begins in the file
  std::uint64_t total_ = 0;   // 0 where the server does not say
  std::optional<std::uint64_t> range_start_;
  bool body_begun_ = false;
  bool other_range_ = false;
  std::string refusal_;
  std::exception_ptr thrown_;
  std::optional<Clock::time_point> last_report_;
};

// Empty if the file is the one asked for.
std::string sum_problem(const Download& request, const fs::path& path) {
  if (request.sha256.empty()) return "";
  const std::string sum = sha256_of_file(path);
  if (sum.starts_with(lower(request.sha256))) return "";
  return cat("got a file with SHA-256 ", sum, ", expected ", printable(request.sha256));
}

// Empty if the part file is whole and right, otherwise the reason.
std::string fetch(const Download& request, const std::string& url, PartFile& part) {
  for (;;) {
    Transfer transfer(request, part);
    switch (transfer.run(url)) {
      case Transfer::Result::kFailed: return transfer.reason();
      case Transfer::Result::kBeginAnew:  // what is there is all of the file already, or of another one
        if (!request.sha256.empty() && sum_problem(request, part.path()).empty()) return "";
        break;
      case Transfer::Result::kDone:
        std::string problem = sum_problem(request, part.path());
        if (!problem.empty() && !transfer.resumed()) part.clear();
        if (problem.empty() || !transfer.resumed()) return problem;
    }
    part.clear();  // nothing can be resumed now: the next round is the last
  }
}

std::vector<std::string> addresses(const Download& request) {
  std::vector<std::string> out = request.urls;
  const char* mirror = std::getenv("LORIKEET_MIRROR");
  if (mirror == nullptr || *mirror == '\0' || out.empty()) return out;
  std::string base = mirror;
  while (base.ends_with('/')) base.pop_back();
  const std::string path = out.front().substr(0, out.front().find_first_of("?#"));
  out.insert(out.begin(), base + "/" + path.substr(path.rfind('/') + 1));
  return out;
}

}  // namespace

void download(const Download& request) {
  assert(!request.urls.empty());
  assert(request.sha256.empty() ||
         (request.sha256.size() >= kMinSha256Digits && request.sha256.size() <= kSha256Digits));
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);  // once, whichever thread comes first
  if (kStarted != CURLE_OK) fail("libcurl: cannot be started: ", curl_easy_strerror(kStarted), ".");

  const std::string name = request.destination.filename().string();
  PartFile part(request.destination, [&](std::uint64_t size) {
    if (request.progress) request.progress({name, size, 0});
  });
  const bool fetched_meanwhile = part.waited() && !request.sha256.empty() && fs::exists(request.destination);
  if (fetched_meanwhile && sum_problem(request, request.destination).empty()) return;

  const std::uint64_t from_before = part.size();
  std::vector<std::string> reasons;
  for (const auto& url : addresses(request)) {
    // Without a checksum nothing says that this address has the same bytes as the one before.
    const bool from_another = request.sha256.empty() && !reasons.empty() && part.size() != from_before;
    if (from_another || part.size() > request.limit) part.clear();
    const std::string reason = fetch(request, url, part);
    if (reason.empty()) {
      part.commit();
      return;
    }
    reasons.push_back(shown(url) + ": " + reason);
  }
  fail(name, ": cannot be downloaded: ", join(reasons, "; "), ".", request.hint.empty() ? "" : " ", request.hint);
}

}  // namespace lorikeet
