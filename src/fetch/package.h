// Downloads from package registries through their own clients (pip, npm, apt-get), which use the machine's mirrors,
// proxies and certificates and verify downloads. For machines that can reach only registries.
#pragma once

#include <filesystem>
#include <string>

namespace lorikeet {

enum class PackageRegistry { kPypi, kNpm, kDebian };

/// Downloads `name` (at `version`, unless empty) into `folder`, without installing it and without dependencies. Returns
/// the archive's path. Throws Error, with the last line of output, if the client is missing or fails.
std::filesystem::path fetch_package(PackageRegistry registry, const std::string& name, const std::string& version,
                                    const std::filesystem::path& folder);

}  // namespace lorikeet
