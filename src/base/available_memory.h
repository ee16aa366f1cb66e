// Memory available to this process: the machine's free memory, or less if its control group has a lower limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace lorikeet {

/// Returns bytes: the minimum of the kernel's MemAvailable (proc(5)) and, for each enclosing control group (cgroups(7),
/// versions 1 and 2), its limit minus its usage without file cache, and what the limit on its address space (`ulimit
/// -v`) leaves. Empty if none is known. `root` contains proc/ and sys/.
std::optional<std::uint64_t> available_memory(const std::filesystem::path& root = "/");

/// Returns the resident memory of this process in bytes (VmRSS); 0 if unknown.
std::uint64_t resident_memory();

/// Returns the size of the failed allocation that libtorch's CPU allocator reports in `message`, 0 if it is not known,
/// and nothing for other messages.
std::optional<std::uint64_t> failed_allocation(std::string_view message);

}  // namespace lorikeet
