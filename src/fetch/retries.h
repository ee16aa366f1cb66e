// When a request that failed is made again: as the Hub's own client does, after the time that the server asks for, or
// else after 1, 2, 4 and then 8 seconds.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace lorikeet {

/// Whether an answer with this HTTP status may be another the next time: 408, 429, 500, 502, 503 and 504.
bool is_passing(long status);

/// The seconds after which the headers of an answer (names in lower case) ask to come back: "retry-after" as a number,
/// or the reset of a used-up "ratelimit" (draft-ietf-httpapi-ratelimit-headers).
std::optional<long> asked_delay(const std::map<std::string, std::string>& headers);

class Retries {
 public:
  /// `waiting` is called a few times a second while time passes, and may throw to give up.
  Retries(int most, std::function<void()> waiting) : most_(most), waiting_(std::move(waiting)) {}

  /// Waits before the next attempt. False, at once, where there were enough of them, or where the headers of the answer
  /// ask for more than two minutes.
  bool wait(const std::map<std::string, std::string>& headers);
  /// Counts from the beginning.
  void reset() { done_ = 0; }

 private:
  int most_;
  int done_ = 0;
  std::function<void()> waiting_;
};

}  // namespace lorikeet
