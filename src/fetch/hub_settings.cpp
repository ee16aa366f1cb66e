#include "fetch/hub_settings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxTokenFile = 1 << 16;

// "" if it is not set.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_set(const char* name) {
  const std::string value = lowercase(variable(name));
  constexpr std::array<std::string_view, 4> kTrue{"1", "on", "yes", "true"};
  return std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end();
}

// Python's os.path.expandvars: expands "$NAME" and "${NAME}"; unset variables stay unchanged.
std::string with_variables(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '$') {
      out += text[at++];
      continue;
    }
    const bool braces = text.compare(at, 2, "${") == 0;
    const std::size_t from = at + (braces ? 2 : 1);
    std::size_t end = from;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) ++end;
    const std::string name = text.substr(from, end - from);
    const bool closed = !braces || (end < text.size() && text[end] == '}');
    if (braces && closed) ++end;
    const char* value = name.empty() || !closed ? nullptr : std::getenv(name.c_str());
    out += value == nullptr ? text.substr(at, end - at) : std::string(value);
    at = end;
  }
  return out;
}

fs::path expanded(const std::string& path) {
  const bool at_home = path == "~" || path.starts_with("~/");
  return with_variables(at_home ? variable("HOME") + path.substr(1) : path);
}

fs::path hub_home() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return expanded(home);
  const std::string cache = variable("XDG_CACHE_HOME");
  return expanded(cache.empty() ? "~/.cache" : cache) / "huggingface";
}

std::string token_file() {
  const std::string other = variable("HF_TOKEN_PATH");
  const fs::path path = other.empty() ? hub_home() / "token" : expanded(other);
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) ? read_file(path, kMaxTokenFile) : "";
}

}  // namespace

std::string hub_endpoint() {
  std::string endpoint = variable("HF_ENDPOINT");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint.empty() ? kDefaultHubEndpoint : endpoint;
}

fs::path hub_cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) return expanded(folder);
  }
  return hub_home() / "hub";
}

std::string hub_token() {
  if (is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  std::string token = variable("HF_TOKEN");
  if (token.empty()) token = variable("HUGGING_FACE_HUB_TOKEN");
  if (token.empty()) token = token_file();
  std::erase_if(token, [](char c) { return c == '\r' || c == '\n'; });
  const auto first = token.find_first_not_of(' ');
  token = first == std::string::npos ? "" : token.substr(first, token.find_last_not_of(' ') + 1 - first);
  if (std::any_of(token.begin(), token.end(), [](unsigned char c) { return c <= ' ' || c > '~'; }))
    fail("HF_TOKEN: got a token with spaces or control characters, expected letters, digits and punctuation.");
  return token;
}

bool hub_is_offline() { return is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"); }

bool hub_without_links() { return is_set("HF_HUB_DISABLE_SYMLINKS"); }

}  // namespace lorikeet
