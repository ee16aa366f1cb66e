#include "base/available_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kKib = 1024;

// Returns the number in a line "KEY: NUMBER …": "MemAvailable:   123 kB", "inactive_file 123".
std::optional<std::uint64_t> number_after(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    std::uint64_t value = 0;
    if (words >> word && word == key && words >> value) return value;
  }
  return std::nullopt;
}

// Reads a file that holds one number. Empty for "max" and if the file does not exist.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* file_cache;  // key in memory.stat of memory that the kernel can reclaim
};
constexpr GroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2{"memory.max", "memory.current", "inactive_file"};

// The memory available in the group in `folder`.
std::optional<std::uint64_t> left_in(const fs::path& folder, const GroupFiles& files) {
  const auto limit = number_in(folder / files.limit);
  const auto usage = number_in(folder / files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t cache = number_after(folder / "memory.stat", files.file_cache).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, used);
}

}  // namespace

std::optional<std::uint64_t> available_memory(const fs::path& root) {
  std::optional<std::uint64_t> out = number_after(root / "proc/meminfo", "MemAvailable:");
  if (out) *out *= kKib;
  const auto take_less = [&](std::optional<std::uint64_t> other) {
    if (other && (!out || *other < *out)) out = other;
  };

  if (struct rlimit limit{}; ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const std::uint64_t mapped = number_after(root / "proc/self/status", "VmSize:").value_or(0) * kKib;
    take_less(limit.rlim_cur - std::min<std::uint64_t>(limit.rlim_cur, mapped));
  }

  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b" of version 2, "4:memory:/a/b" of version 1
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_version2 = controllers.empty();
    if (!is_version2 && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
    const GroupFiles& files = is_version2 ? kVersion2 : kVersion1;
    const fs::path mount = root / (is_version2 ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    // In a container, the path may refer to the host's hierarchy and not exist here; the mount point is then the group.
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    for (;; group = group.parent_path()) {
      take_less(left_in(mount / group, files));
      if (group.empty()) break;
    }
  }
  return out;
}

std::uint64_t resident_memory() { return number_after("/proc/self/status", "VmRSS:").value_or(0) * kKib; }

std::optional<std::uint64_t> failed_allocation(std::string_view message) {
  constexpr std::string_view kTried = "you tried to allocate ";
  if (message.find("DefaultCPUAllocator") == std::string_view::npos) return std::nullopt;
  const std::size_t at = message.find(kTried);
  std::uint64_t bytes = 0;
  if (at != std::string_view::npos)
    std::from_chars(message.data() + at + kTried.size(), message.data() + message.size(), bytes);
  return bytes;
}

}  // namespace lorikeet
