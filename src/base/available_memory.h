// Memory available to this process: the machine's free memory, or less if its control group has a lower limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace lorikeet {

/// Returns bytes: the minimum of the kernel's MemAvailable (proc(5)) and, for each enclosing control group (cgroups(7),
/// versions 1 and 2), its limit minus its usage without file cache. Empty if none is known. `root` contains proc/ and
/// sys/.
std::optional<std::uint64_t> available_memory(const std::filesystem::path& root = "/");

/// Returns the resident memory of this process in bytes (VmRSS); 0 if unknown.
std::uint64_t resident_memory();

}  // namespace lorikeet
