#include "fetch/curl_request.h"

#include <algorithm>
#include <new>
#include <string_view>

#include "base/text.h"

namespace lorikeet {
namespace {

constexpr long kMaxRedirects = 10;
constexpr long kConnectSeconds = 8;  // short, because firewalls may drop packets silently
constexpr long kSlowBytesPerSecond = 100;
constexpr long kSlowSeconds = 30;
constexpr std::size_t kLongestAddress = 300;
constexpr std::size_t kLongestReason = 300;

CURL* start() {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);  // once, whichever thread comes first
  if (kStarted != CURLE_OK) fail("libcurl: cannot be started: ", curl_easy_strerror(kStarted), ".");
  CURL* handle = curl_easy_init();
  if (handle == nullptr) fail("libcurl: cannot be started.");
  return handle;
}

}  // namespace

CurlRequest::CurlRequest(const std::string& url, const std::vector<std::string>& headers) : handle_(start()) {
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
  set(CURLOPT_MAXREDIRS, kMaxRedirects);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
  set(CURLOPT_HEADERFUNCTION, &CurlRequest::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  for (const auto& header : headers) {
    curl_slist* list = curl_slist_append(headers_.get(), header.c_str());
    if (list == nullptr) fail("libcurl: out of memory.");
    if (headers_ == nullptr) headers_.reset(list);  // later headers are appended to the same list
  }
  // libcurl sends "Authorization" only to this host, not to those of redirects (documentation of
  // CURLOPT_UNRESTRICTED_AUTH).
  if (headers_ != nullptr) set(CURLOPT_HTTPHEADER, headers_.get());
}

long CurlRequest::status() const {
  long status = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

curl_off_t CurlRequest::content_length() const {
  curl_off_t length = -1;
  curl_easy_getinfo(handle_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return length;
}

std::string CurlRequest::reason(CURLcode code) const {
  return printable(error_.front() != '\0' ? error_.data() : curl_easy_strerror(code), kLongestReason);
}

// libcurl limits the total size of headers.
std::size_t CurlRequest::on_header(char* bytes, std::size_t size, std::size_t count, void* self_pointer) {
  auto& answered = static_cast<CurlRequest*>(self_pointer)->answered_;
  const std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) answered.clear();  // a new response, after a redirect
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return line.size();
  try {
    std::string name = lowercase(line.substr(0, colon));
    constexpr const char* kSpace = " \t\r\n";
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(kSpace), value.size()));
    value = value.substr(0, value.find_last_not_of(kSpace) + 1);
    answered[std::move(name)] = value;
    return line.size();
  } catch (const std::bad_alloc&) {
    return 0;  // exceptions must not pass through libcurl; this aborts the transfer
  }
}

std::string shown_address(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", from), url.size());
  const std::size_t query = std::min(url.find_first_of("?#", end), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  const std::size_t host = at == std::string::npos || at < from ? from : at + 1;
  return printable(url.substr(0, from) + url.substr(host, query - host), kLongestAddress);
}

}  // namespace lorikeet
