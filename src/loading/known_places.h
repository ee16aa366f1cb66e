// Where local base weights were on this machine. An adapter is made for sharing, so it records only the name and the
// SHA-256 of its base; `$LORIKEET_HOME/bases/SHA-256` has the absolute paths of files and folders that had this SHA-256
// when a command read them, one a line, the last one first.
#pragma once

#include <filesystem>
#include <string>

namespace lorikeet {

/// Remembers that the base with this fingerprint is at `place`, an absolute path. Without a home folder that can be
/// written, nothing is remembered, and adapters of local weights need --weights.
void remember_base(const std::string& sha256, const std::filesystem::path& place);

/// Returns the last of these paths that still exists, or else the last one; empty if none is known.
std::filesystem::path known_base(const std::string& sha256);

}  // namespace lorikeet
