// One request by libcurl: the options that all have in common, headers, and the reason of a failure.
#pragma once

#include <curl/curl.h>

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace lorikeet {

/// Names in lower case; the last of several of one name.
using HttpHeaders = std::map<std::string, std::string>;

class CurlRequest {
 public:
  /// Only http and https, also in redirects. Throws Error where libcurl cannot be started.
  CurlRequest(const std::string& url, const std::vector<std::string>& headers);
  CurlRequest(const CurlRequest&) = delete;
  CurlRequest& operator=(const CurlRequest&) = delete;

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle_.get(), option, value);
    if (code != CURLE_OK) fail("libcurl: option ", static_cast<int>(option), ": ", curl_easy_strerror(code), ".");
  }
  CURLcode perform() { return curl_easy_perform(handle_.get()); }

  /// The status of the last answer; 0 where there was none.
  long status() const;
  /// Of the last answer, after redirects.
  const HttpHeaders& answered() const { return answered_; }
  /// The length that the last answer announces; -1 where it announces none.
  curl_off_t content_length() const;
  /// Why `perform` failed.
  std::string reason(CURLcode code) const;

 private:
  struct CloseHandle {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self_pointer);

  std::unique_ptr<curl_slist, FreeList> headers_;
  std::unique_ptr<CURL, CloseHandle> handle_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  HttpHeaders answered_;
};

/// An address for a message: without the user, password and query that it may hold.
std::string shown_address(const std::string& url);

}  // namespace lorikeet
