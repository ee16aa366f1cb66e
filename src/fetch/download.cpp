#include "fetch/download.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "fetch/curl_request.h"
#include "fetch/part_file.h"
#include "fetch/retries.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kReceiveBuffer = 1 << 18;
constexpr auto kReportEvery = std::chrono::milliseconds(200);
[[maybe_unused]] constexpr std::size_t kSha256Digits = 64;
[[maybe_unused]] constexpr std::size_t kMinSha256Digits = 8;

constexpr long kOk = 200;
constexpr long kPartialContent = 206;
constexpr long kRangeNotSatisfiable = 416;

// Returns the first byte position in "Content-Range: bytes 100-199/200".
std::optional<std::uint64_t> range_start(const HttpHeaders& headers) {
  const auto header = headers.find("content-range");
  if (header == headers.end()) return std::nullopt;
  const std::string line = lowercase(header->second);
  const std::size_t unit = line.find("bytes");
  const std::size_t digits = unit == std::string::npos ? unit : line.find_first_of("0123456789", unit);
  if (digits == std::string::npos) return std::nullopt;
  std::uint64_t start = 0;
  const auto result = std::from_chars(line.data() + digits, line.data() + line.size(), start);
  if (result.ec != std::errc() || *result.ptr != '-') return std::nullopt;  // as in "bytes */200"
  return start;
}

std::string shown_name(const Download& request) {
  return request.name.empty() ? request.destination.filename().string() : request.name;
}

// One request to one URL, appended to the part file. Exceptions from callbacks must not pass through libcurl: they are
// stored and rethrown after libcurl has returned.
class Transfer {
 public:
  enum class Result { kDone, kFailed, kBeginAnew };

  Transfer(const Download& request, const std::string& url, PartFile& part)
      : request_(request), part_(part), curl_(url, request.headers), offset_(part.size()) {
    curl_.set(CURLOPT_FAILONERROR, 1L);
    curl_.set(CURLOPT_FOLLOWLOCATION, 1L);
    curl_.set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
    curl_.set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    curl_.set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    if (request_.progress) {
      curl_.set(CURLOPT_NOPROGRESS, 0L);
      curl_.set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
      curl_.set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
    }
    // Not RESUME_FROM, with which libcurl treats a 416 as the end of a complete file, and a 200 as an error.
    if (offset_ > 0) curl_.set(CURLOPT_RANGE, cat(offset_, "-").c_str());
  }

  Result run() {
    const CURLcode code = curl_.perform();
    if (thrown_) std::rethrow_exception(thrown_);
    if (curl_.status() == kRangeNotSatisfiable && offset_ > 0) return Result::kBeginAnew;
    if (code == CURLE_OK && !body_begun_) begin_body();  // an empty file
    if (other_range_) return Result::kBeginAnew;
    if (!refusal_.empty()) return Result::kFailed;
    if (code == CURLE_OK) {
      report(part_.size());
      return Result::kDone;
    }
    refusal_ = code == CURLE_HTTP_RETURNED_ERROR ? cat("HTTP ", curl_.status()) : curl_.reason(code);
    broke_off_ = code != CURLE_HTTP_RETURNED_ERROR && body_begun_;
    return Result::kFailed;
  }

  /// Whether it resumed an earlier transfer.
  bool resumed() const { return offset_ > 0; }
  /// The reason for a failure.
  const std::string& reason() const { return refusal_; }
  /// Whether a retry may succeed.
  bool may_pass() const { return broke_off_ || is_passing(curl_.status()); }
  const HttpHeaders& answered() const { return curl_.answered(); }

 private:
  // Checks the response and reserves disk space.
  bool begin_body() {
    body_begun_ = true;
    const long code = curl_.status();
    if (code == kPartialContent && offset_ > 0) {
      other_range_ = range_start(curl_.answered()) != offset_;
      if (other_range_) return false;
    } else if (code == kOk) {
      if (offset_ > 0) part_.clear();  // the server does not support ranges
      offset_ = 0;
    } else {
      refusal_ = cat("HTTP ", code);
      return false;
    }
    const curl_off_t length = curl_.content_length();
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
    if (request_.progress) request_.progress({shown_name(request_), part_.size(), total});
  }

  // Returns whether `action` returned true. Stores its exception, if any.
  template <typename Action>
  bool guarded(const Action& action) {
    try {
      return action();
    } catch (...) {
      thrown_ = std::current_exception();
      return false;
    }
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
  CurlRequest curl_;
  std::uint64_t offset_ = 0;  // start of the body in the file
  std::uint64_t total_ = 0;   // 0 if the server does not report it
  bool body_begun_ = false;
  bool other_range_ = false;
  bool broke_off_ = false;
  std::string refusal_;
  std::exception_ptr thrown_;
  std::optional<Clock::time_point> last_report_;
};

// Returns the problem with the file's size or checksum; empty if both are correct.
std::string problem_of(const Download& request, const fs::path& path) {
  const std::uint64_t size = request.size == 0 ? 0 : fs::file_size(path);
  if (size != request.size)
    return cat("got a file of ", counted(size, "byte"), ", expected ", with_commas(request.size));
  if (request.sha256.empty()) return "";
  const std::string sum = sha256_of_file(path);
  if (sum.starts_with(lowercase(request.sha256))) return "";
  return cat("got a file with SHA-256 ", sum, ", expected ", printable(request.sha256));
}

// Returns the reason for a failure; empty if the part file is complete and correct.
std::string fetch(const Download& request, const std::string& url, PartFile& part) {
  const std::string name = shown_name(request);
  Retries retries(request.retries, [&] {
    if (request.progress) request.progress({name, part.size(), 0});
  });
  for (;;) {
    const std::uint64_t before = part.size();
    Transfer transfer(request, url, part);
    switch (transfer.run()) {
      case Transfer::Result::kFailed:
        if (part.size() > before) retries.reset();  // it makes progress
        if (!transfer.may_pass() || !retries.wait(transfer.answered())) return transfer.reason();
        continue;
      case Transfer::Result::kBeginAnew:  // the part file is already complete, or belongs to another file
        if (!request.sha256.empty() && problem_of(request, part.path()).empty()) return "";
        break;
      case Transfer::Result::kDone:
        std::string problem = problem_of(request, part.path());
        if (!problem.empty() && !transfer.resumed()) part.clear();
        if (problem.empty() || !transfer.resumed()) return problem;
    }
    part.clear();  // no more resuming, so the next attempt is the last
  }
}

std::vector<std::string> addresses(const Download& request) {
  std::vector<std::string> out = request.urls;
  const char* mirror = std::getenv("LORIKEET_MIRROR");
  if (!request.use_mirror || mirror == nullptr || *mirror == '\0' || out.empty()) return out;
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

  const std::string name = shown_name(request);
  PartFile part(request.destination, request.part_ending, [&](std::uint64_t size) {
    if (request.progress) request.progress({name, size, 0});
  });
  const bool fetched_meanwhile = part.waited() && !request.sha256.empty() && fs::exists(request.destination);
  if (fetched_meanwhile && problem_of(request, request.destination).empty()) return;

  const std::uint64_t from_before = part.size();
  std::vector<std::string> reasons;
  for (const auto& url : addresses(request)) {
    // Without a checksum, this URL may have a different file than the previous one.
    const bool from_another = request.sha256.empty() && !reasons.empty() && part.size() != from_before;
    if (from_another || part.size() > request.limit) part.clear();
    const std::string reason = fetch(request, url, part);
    if (reason.empty()) {
      part.commit();
      return;
    }
    reasons.push_back(shown_address(url) + ": " + reason);
  }
  fail(name, ": cannot be downloaded: ", join(reasons, "; "), ".", request.hint.empty() ? "" : " ", request.hint);
}

}  // namespace lorikeet
