// Manifests: one line for each image with its path, its label and, optionally, its split.
//
// CSV (RFC 4180), also separated by tabs or semicolons: quoted fields, CRLF, a byte order mark and empty lines are
// accepted. If the first line has the name of a path column (path, image, file, filename, file_name, image_path, …) it
// is a header and columns are found by name, in any order; otherwise the columns are path, label and, optionally,
// split.
// JSON Lines: an object per line with the same names as keys; labels are strings or integers.
//
// Relative paths start at the manifest's folder and must not leave it; an absolute path names any file, because who
// writes one means it. Images without a label are ignored, with a note.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/splits.h"

namespace lorikeet {

constexpr std::uint64_t kMaxManifest = 1ULL << 30;  // bytes

struct ManifestLine {
  /// As written.
  std::string path;
  /// Empty: no label.
  std::string label;
  /// "train", "val", "test", or empty if the manifest has no splits.
  std::string split;
  /// From 1.
  std::size_t number = 0;
};

/// Whether the name of a file is that of a manifest: .csv, .tsv, .jsonl or .ndjson.
bool is_manifest(const std::filesystem::path& path);

/// Parses the content of `path`, whose extension selects the format. Throws Error, with the line, if it is malformed,
/// has another number of fields than its first line, or names an unknown split.
std::vector<ManifestLine> parse_manifest(std::string_view content, const std::filesystem::path& path);

/// Opens the images of a manifest. If it defines the classes, they are the labels: in numeric order if all are
/// integers, else in byte order.
Splits open_manifest(const std::filesystem::path& path, const OpenOptions& options);

}  // namespace lorikeet
