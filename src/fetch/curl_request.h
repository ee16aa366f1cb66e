// One libcurl request: common options, headers and error messages.
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

/// Lower-case names; of several headers with one name, the last.
using HttpHeaders = std::map<std::string, std::string>;

class CurlRequest {
 public:
  /// Allows only http and https, also for redirects. Throws Error if libcurl cannot be started.
  CurlRequest(const std::string& url, const std::vector<std::string>& headers);
  CurlRequest(const CurlRequest&) = delete;
  CurlRequest& operator=(const CurlRequest&) = delete;

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle_.get(), option, value);
    if (code != CURLE_OK) fail("libcurl: option ", static_cast<int>(option), ": ", curl_easy_strerror(code), ".");
  }
  CURLcode perform() { return curl_easy_perform(handle_.get()); }

  /// Status of the last response; 0 if there was none.
  long status() const;
  /// Headers of the last response, after redirects.
  const HttpHeaders& answered() const { return answered_; }
  /// Content length of the last response; -1 if unknown.
  curl_off_t content_length() const;
  /// The reason for a failure of `perform`.
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

/// Returns a URL for a message, without user, password and query.
std::string shown_address(const std::string& url);

}  // namespace lorikeet
