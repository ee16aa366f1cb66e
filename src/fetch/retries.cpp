#include "fetch/retries.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <string_view>
#include <thread>

namespace lorikeet {
namespace {

constexpr long kMostAsked = 120;
constexpr long kMostDelay = 8;
constexpr auto kStep = std::chrono::milliseconds(200);

// Returns the number after `key` in "\"api\";r=0;t=55".
std::optional<long> field(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == text.npos) return std::nullopt;
  const std::string_view rest = text.substr(at + key.size());
  long value = 0;
  const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (result.ec != std::errc() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

bool is_passing(long status) {
  constexpr long kPassing[] = {408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kPassing), std::end(kPassing), status) != std::end(kPassing);
}

std::optional<long> asked_delay(const std::map<std::string, std::string>& headers) {
  if (const auto found = headers.find("ratelimit"); found != headers.end() && field(found->second, ";r=") == 0) {
    if (const auto reset = field(found->second, ";t=")) return *reset + 1;  // it is rounded down
  }
  const auto found = headers.find("retry-after");
  return found == headers.end() ? std::nullopt : field(found->second, "");
}

bool Retries::wait(const std::map<std::string, std::string>& headers) {
  if (done_ >= most_) return false;
  const long backoff = std::min(kMostDelay, 1L << std::min(done_, 10));
  ++done_;
  const long delay = asked_delay(headers).value_or(backoff);
  if (delay > kMostAsked) return false;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(delay);
  while (std::chrono::steady_clock::now() < until) {
    if (waiting_) waiting_();
    std::this_thread::sleep_for(kStep);
  }
  return true;
}

}  // namespace lorikeet
