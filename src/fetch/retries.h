// Retries of failed requests: as in the Hub's own client, after the delay that the server requests, or after 1, 2, 4
// and then 8 seconds.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace lorikeet {

/// Whether a response with this HTTP status may be temporary: 408, 429, 500, 502, 503 and 504.
bool is_passing(long status);

/// Returns the delay in seconds requested by response headers (lower-case names): "retry-after" as a number, or the
/// reset of an exhausted "ratelimit" (draft-ietf-httpapi-ratelimit-headers).
std::optional<long> asked_delay(const std::map<std::string, std::string>& headers);

class Retries {
 public:
  /// `waiting` is called a few times a second during a delay, and may throw to give up.
  Retries(int most, std::function<void()> waiting) : most_(most), waiting_(std::move(waiting)) {}

  /// Waits before the next attempt. Returns false immediately if no retries are left or the headers request more than
  /// two minutes.
  bool wait(const std::map<std::string, std::string>& headers);
  /// Resets the number of retries.
  void reset() { done_ = 0; }

 private:
  int most_;
  int done_ = 0;
  std::function<void()> waiting_;
};

}  // namespace lorikeet
