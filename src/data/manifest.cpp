#include "data/manifest.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "data/image_files.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::size_t kMaxFields = 1000;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::array<const char*, 9> kPathNames{"path",       "image",    "file",     "filename",  "file_name",
                                                "image_path", "filepath", "img_path", "image_name"};
constexpr std::array<const char*, 6> kLabelNames{"label", "class", "category", "target", "class_name", "labels"};
constexpr std::array<const char*, 5> kSplitNames{"split", "set", "partition", "subset", "fold"};

bool is_named(const std::string& field, std::span<const char* const> names) {
  const std::string lower = lowercase(field);
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return lower == name; });
}

struct Row {
  std::vector<std::string> fields;
  std::size_t number = 0;  // of its first line
};

// RFC 4180. A quote inside an unquoted field is an ordinary character, as in Python's csv.
class CsvReader {
 public:
  CsvReader(std::string_view text, char separator, std::string where)
      : text_(text), separator_(separator), where_(std::move(where)) {}

  // Returns false at the end. Empty lines are skipped.
  bool next(Row& row) {
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) end_line();
    if (at_ == text_.size()) return false;
    row = {{}, line_};
    for (;;) {
      if (row.fields.size() == kMaxFields)
        fail(where_, ": line ", line_, ": got more than ", kMaxFields, " fields, expected at most that.");
      row.fields.push_back(field());
      if (at_ == text_.size()) return true;
      if (text_[at_] == separator_) {
        ++at_;
        continue;
      }
      end_line();
      return true;
    }
  }

 private:
  void end_line() {
    if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
    ++at_;
    ++line_;
  }

  std::string field() {
    std::string out;
    if (at_ < text_.size() && text_[at_] == '"') {
      const std::size_t start = line_;
      for (++at_;; ++at_) {
        if (at_ >= text_.size()) fail(where_, ": line ", start, ": got a quote without an end, expected another \".");
        if (text_[at_] == '"') {
          if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
          ++at_;
        }
        if (text_[at_] == '\n') ++line_;
        out += text_[at_];
      }
      ++at_;
    }
    while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r')
      out += text_[at_++];
    return out;
  }

  std::string_view text_;
  char separator_;
  std::string where_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

char separator_of(std::string_view text) {
  const std::string_view first = text.substr(0, text.find('\n'));
  for (const char candidate : {',', '\t', ';'}) {
    if (first.find(candidate) != std::string_view::npos) return candidate;
  }
  return ',';
}

std::string split_named(const std::string& name, const std::string& where, std::size_t line) {
  const std::string split = split_of_name(name);
  if (split.empty())
    fail(where, ": line ", line, ": got the split '", printable(name), "', expected train, val or test.");
  return split;
}

std::string listed(std::span<const char* const> names) {
  return join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

[[noreturn]] void fail_header(const std::string& where, const std::string& first) {
  fail(where, ": line 1: got ", printable(first),
       ", which looks like a header, expected column names that are known. Those of the path: ", listed(kPathNames),
       "; of the label: ", listed(kLabelNames), "; of the split: ", listed(kSplitNames), ".");
}

// Whether a line without a known path column is a header: it has another known column, and no path.
bool is_unknown_header(const std::vector<std::string>& fields) {
  return fields.front().find_first_of("./\\") == std::string::npos &&
         std::any_of(fields.begin(), fields.end(), [](const std::string& field) {
           return is_named(field, kLabelNames) || is_named(field, kSplitNames);
         });
}

std::vector<ManifestLine> parse_csv(std::string_view text, const fs::path& manifest) {
  const std::string where = manifest.string();
  const bool is_tsv = lowercase(manifest.extension().string()) == ".tsv";
  CsvReader reader(text, is_tsv ? '\t' : separator_of(text), where);
  Row row;
  if (!reader.next(row)) fail(where, ": got no lines, expected path,label for each image.");
  const std::size_t columns = row.fields.size();
  std::size_t path = 0, label = 1, split = 2;
  const auto column = [&](std::span<const char* const> names) {
    const auto found = std::find_if(row.fields.begin(), row.fields.end(),
                                    [&](const std::string& field) { return is_named(field, names); });
    return static_cast<std::size_t>(found - row.fields.begin());
  };
  const bool has_header = column(kPathNames) < columns;
  if (has_header) {
    path = column(kPathNames);
    label = column(kLabelNames);
    split = column(kSplitNames);
    if (label == columns)
      fail(where, ": got a header without a label, expected one of the columns ", listed(kLabelNames), ". It has ",
           printable(join(row.fields, ", ")), ".");
  } else if (is_unknown_header(row.fields)) {
    fail_header(where, join(row.fields, ","));
  } else if (columns < 2 || columns > 3) {
    fail(where, ": line 1: got ", counted(columns, "field"),
         ", expected path,label or path,label,split, or a header with these columns. The path may be called ",
         listed(kPathNames), "; the label ", listed(kLabelNames), ".");
  }
  std::vector<ManifestLine> out;
  bool more = has_header ? reader.next(row) : true;
  for (; more; more = reader.next(row)) {
    if (row.fields.size() != columns) {
      fail(where, ": line ", row.number, ": got ", counted(row.fields.size(), "field"), ", expected ", columns,
           ", as in the first line.");
    }
    ManifestLine line{row.fields[path], row.fields[label], "", row.number};
    if (split < columns) line.split = split_named(row.fields[split], where, row.number);
    out.push_back(std::move(line));
  }
  return out;
}

std::vector<ManifestLine> parse_json_lines(std::string_view text, const std::string& where) {
  std::vector<ManifestLine> out;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = cat(where, ": line ", number);
    const Json object = parse_json(line, place);
    if (!object.is_object()) fail(place, ": got ", json_kind(object), ", expected an object with path and label.");
    ManifestLine parsed{"", "", "", number};
    for (const auto& [key, value] : object.items()) {
      if (is_named(key, kPathNames) && parsed.path.empty() && value.is_string()) {
        parsed.path = value.get<std::string>();
      } else if (is_named(key, kLabelNames) && parsed.label.empty()) {
        if (value.is_number_integer()) {
          parsed.label = value.dump();
        } else if (value.is_string()) {
          parsed.label = value.get<std::string>();
        } else if (!value.is_null()) {
          fail(place, ": ", printable(key), ": got ", json_kind(value),
               ", expected one label: a string or an integer.");
        }
      } else if (is_named(key, kSplitNames) && parsed.split.empty() && !value.is_null()) {
        if (!value.is_string())
          fail(place, ": ", printable(key), ": got ", json_kind(value), ", expected train, val or test.");
        parsed.split = split_named(value.get<std::string>(), where, number);
      }
    }
    if (parsed.path.empty()) fail(place, ": got no path, expected one, as \"path\", \"file\" or \"image\".");
    out.push_back(std::move(parsed));
  }
  return out;
}

// The classes of a manifest that defines them.
std::vector<std::string> labels_of(const std::vector<ManifestLine>& lines) {
  std::set<std::string> distinct;
  for (const ManifestLine& line : lines) {
    if (!line.label.empty()) distinct.insert(line.label);
  }
  std::vector<std::string> out(distinct.begin(), distinct.end());
  if (std::all_of(out.begin(), out.end(), [](const std::string& label) { return to_integer(label).has_value(); }))
    std::stable_sort(out.begin(), out.end(),
                     [](const auto& a, const auto& b) { return *to_integer(a) < *to_integer(b); });
  return out;
}

fs::path resolved_path(const ManifestLine& line, const fs::path& folder, const std::string& where) {
  const fs::path path(line.path);
  if (line.path.empty() || line.path.find('\0') != std::string::npos)
    fail(where, ": line ", line.number, ": got no path, expected that of an image.");
  if (path.is_absolute()) return path;
  const fs::path inside = path.lexically_normal();
  if (inside.begin() != inside.end() && *inside.begin() == "..") {
    fail(where, ": line ", line.number, ": got ", printable(line.path),
         ", which leaves the manifest's folder, expected a path in it. Write an absolute path for other files.");
  }
  return folder / inside;
}

// Whether the first line is a header without any known column: no image, unlike the second line.
bool starts_with_header(const std::vector<ManifestLine>& lines, const fs::path& folder, const std::string& where) {
  if (lines.size() < 2 || lines.front().number != 1 || !fs::path(lines.front().path).extension().empty()) return false;
  const auto exists = [&](const ManifestLine& line) {
    std::error_code ignored;
    return fs::exists(resolved_path(line, folder, where), ignored);
  };
  return !exists(lines[0]) && exists(lines[1]);
}

}  // namespace

bool is_manifest(const fs::path& path) {
  const std::string extension = lowercase(path.extension().string());
  return extension == ".csv" || extension == ".tsv" || extension == ".jsonl" || extension == ".ndjson";
}

std::vector<ManifestLine> parse_manifest(std::string_view content, const fs::path& path) {
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  const std::string extension = lowercase(path.extension().string());
  auto lines = extension == ".jsonl" || extension == ".ndjson" ? parse_json_lines(content, path.string())
                                                               : parse_csv(content, path);
  if (lines.empty()) fail(path.string(), ": got no images, expected a line with path and label for each.");
  const bool any_split = std::any_of(lines.begin(), lines.end(), [](const auto& line) { return !line.split.empty(); });
  for (const ManifestLine& line : lines) {
    if (any_split && line.split.empty())
      fail(path.string(), ": line ", line.number, ": got no split, expected one, as the other lines have.");
    if (!is_utf8(line.label))
      fail(path.string(), ": line ", line.number, ": got a label that is not UTF-8, expected UTF-8.");
  }
  return lines;
}

Splits open_manifest(const fs::path& path, const OpenOptions& options) {
  const std::string where = path.string();
  const std::vector<ManifestLine> lines = parse_manifest(read_file(path, kMaxManifest), path);
  if (starts_with_header(lines, parent_of(path), where)) fail_header(where, lines[0].path + "," + lines[0].label);
  const bool has_splits = !lines.front().split.empty();
  std::vector<std::string> classes = options.classes;
  if (classes.empty()) {
    std::vector<ManifestLine> defining;
    std::copy_if(lines.begin(), lines.end(), std::back_inserter(defining),
                 [&](const auto& line) { return !has_splits || line.split == "train"; });
    classes = labels_of(defining);
  }
  std::map<std::string, std::int64_t> label_of;
  for (std::size_t i = 0; i < classes.size(); ++i) label_of[classes[i]] = static_cast<std::int64_t>(i);
  std::map<std::string, std::vector<ImageFile>> files;
  std::map<fs::path, const ManifestLine*> seen;
  std::size_t unlabelled = 0;
  for (const ManifestLine& line : lines) {
    const fs::path file = resolved_path(line, parent_of(path), where);
    if (line.label.empty()) {
      ++unlabelled;
      continue;
    }
    // What evaluation does not read does not matter to it.
    if (options.use == DatasetUse::kEvaluation && line.split == "train") continue;
    const auto label = label_of.find(line.label);
    if (label == label_of.end()) {
      fail(where, ": line ", line.number, ": got the class '", printable(line.label),
           "', which is unknown to training, expected one of its ", counted(classes.size(), "class"), ".",
           did_you_mean(line.label, classes));
    }
    if (const auto [before, is_new] = seen.emplace(file, &line); !is_new && before->second->label != line.label) {
      fail(where, ": line ", line.number, ": got a second label for ", printable(line.path), ", '",
           printable(line.label), "', expected '", printable(before->second->label), "' as in line ",
           before->second->number, ". An image has one class.");
    }
    files[line.split].push_back({file, label->second});
  }
  const auto dataset = [&](const char* name) -> std::shared_ptr<const Dataset> {
    return files[name].empty() ? nullptr : image_files(std::move(files[name]), classes, options.exif);
  };
  Splits out;
  if (has_splits) {
    out.train = dataset("train");
    out.validation = dataset("val");
    out.test = dataset("test");
  } else if (const auto all = dataset("")) {
    out = split_by_class(all, options, where);
  }
  if (unlabelled > 0) {
    out.notes.push_back(cat(where, ": ignored ", counted(unlabelled, "image"), " without a label"));
  }
  if (!out.train && !out.validation && !out.test)
    fail(where, ": got no labelled images, expected some.",
         options.use == DatasetUse::kEvaluation ? " It has train only." : "");
  return out;
}

}  // namespace lorikeet
