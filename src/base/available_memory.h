// How much memory this process may still take: what the machine has free, or its control group where that allows less.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace lorikeet {

/// Bytes: the kernel's MemAvailable (proc(5)), and for each control group around the process (cgroups(7), versions 1
/// and 2) its limit less what it uses, file cache not counted. Nothing where neither is known. `root` holds proc/ and
/// sys/.
std::optional<std::uint64_t> available_memory(const std::filesystem::path& root = "/");

/// Bytes of memory that this process has now (VmRSS); 0 where that is not known.
std::uint64_t resident_memory();

}  // namespace lorikeet
