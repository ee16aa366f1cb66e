// Downloads from package registries by their own clients (pip, npm, apt-get), which know the machine's mirrors, proxies
// and certificates and verify what they download. For machines that can reach only registries.
#pragma once

#include <filesystem>
#include <string>

namespace lorikeet {

enum class PackageRegistry { kPypi, kNpm, kDebian };

/// Downloads `name` (at `version`, where it is not empty) without installing it or what it depends on, into `folder`.
/// Gives the archive's path. Throws Error where the client is missing or fails, with the last line it printed.
std::filesystem::path fetch_package(PackageRegistry registry, const std::string& name, const std::string& version,
                                    const std::filesystem::path& folder);

}  // namespace lorikeet
