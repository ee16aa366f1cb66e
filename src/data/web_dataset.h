// WebDataset: tar archives ("shards") whose consecutive files with the same name up to the first dot are one sample:
// an image (is_image_extension, data/image_folder.h) and its label in .cls (an integer or a name), .json
// (the key label, class or cls) or .txt (a name). github.com/webdataset/webdataset describes the format.
//
// Opening reads the shards' headers and labels only. Images are read at their offsets; nothing is unpacked.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/splits.h"

namespace lorikeet {

/// Expands "a-{000..003}.tar" and "{train,val}-{0..3}.tar". Numbers keep their leading zeros. Throws Error for a range
/// that is not one, or more than 100,000 names.
std::vector<std::string> expand_braces(const std::string& pattern);

/// Whether `data` names shards: a .tar file or a pattern of them. A name with braces that exists is no pattern.
bool is_shards(const std::string& data);

/// The .tar files of a folder and of its subfolders named like splits, in byte order.
std::vector<std::filesystem::path> shards_in(const std::filesystem::path& folder);

/// Opens shards, in that order. A shard belongs to the split that a word of its name means ("imagenet-train-000.tar"),
/// or one of its folder's name if that folder is below `root` ("val/000.tar"); if none has such a word, `options`
/// splits the samples. Labels are names, or numbers that become the classes "0" … Samples without an image or a label
/// are ignored, with a note. `name` stands for the shards in messages.
Splits open_shards(const std::vector<std::filesystem::path>& shards, const OpenOptions& options,
                   const std::string& name, const std::filesystem::path& root);

}  // namespace lorikeet
