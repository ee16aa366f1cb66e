#include "data/web_dataset.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "data/image_folder.h"
#include "image/decode.h"
#include "io/tar_index.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxLabelBytes = 1 << 20;
constexpr std::uint64_t kMaxMemberImage = 256ULL << 20;
constexpr std::size_t kMaxExpandedNames = 100'000;

struct ShardSample {
  std::size_t shard = 0;
  std::string key;
  std::string extension;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::int64_t label = -1;
};

using Shards = std::vector<std::shared_ptr<const InputFile>>;

std::string read_member(const InputFile& shard, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  shard.read(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

class ShardImages final : public Dataset {
 public:
  ShardImages(std::shared_ptr<const Shards> shards, std::vector<ShardSample> samples, std::vector<std::string> classes,
              Exif exif)
      : shards_(std::move(shards)), samples_(std::move(samples)), classes_(std::move(classes)), exif_(exif) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  Sample get(std::int64_t index) const override {
    const ShardSample& sample = at(index);
    const InputFile& shard = *(*shards_)[sample.shard];
    if (sample.size > kMaxMemberImage)
      fail(describe(index), ": got ", counted(sample.size, "byte"), ", expected at most ", with_commas(kMaxMemberImage),
           ".");
    return {decode_image(read_member(shard, sample.offset, sample.size), describe(index), exif_), sample.label};
  }
  std::int64_t label(std::int64_t index) const override { return at(index).label; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::uint64_t stored_size(std::int64_t index) const override { return at(index).size; }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    const ShardSample& sample = at(index);
    const std::uint64_t taken = std::min(most, sample.size);
    return read_member(*(*shards_)[sample.shard], sample.offset + (sample.size - taken), taken);
  }
  std::string describe(std::int64_t index) const override {
    const ShardSample& sample = at(index);
    return cat((*shards_)[sample.shard]->path().string(), ": ", printable(sample.key + sample.extension));
  }

 private:
  const ShardSample& at(std::int64_t index) const { return samples_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const Shards> shards_;
  std::vector<ShardSample> samples_;
  std::vector<std::string> classes_;
  Exif exif_;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::string label_in_json(const std::string& text, const std::string& where) {
  const Json object = parse_json(text, where);
  if (!object.is_object()) return {};
  for (const char* key : {"label", "class", "cls"}) {
    const auto value = object.find(key);
    if (value == object.end()) continue;
    if (value->is_string()) return value->get<std::string>();
    if (value->is_number_integer()) return value->dump();
  }
  return {};
}

struct ReadSamples {
  std::vector<ShardSample> samples;
  std::vector<std::string> labels;  // one per sample
  std::size_t without_image = 0;
  std::size_t without_label = 0;
  std::vector<std::string> notes;
};

// Collects the members of one shard into samples.
class ShardReader {
 public:
  ShardReader(const InputFile& shard, std::size_t number, ReadSamples& out)
      : shard_(shard), number_(number), out_(out) {}

  void read() {
    const bool has_end = for_each_tar_member(shard_.path(), [&](const TarMember& member) { add(member); });
    finish();
    if (!has_end)
      out_.notes.push_back(
          cat(shard_.path().string(), ": has no end mark, so it may be truncated after its last file"));
  }

 private:
  void add(const TarMember& member) {
    const std::size_t slash = member.name.rfind('/');
    const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
    const std::size_t dot = member.name.find('.', base);
    if (dot == std::string::npos || dot == base) return;  // hidden files, such as macOS' ._NAME
    const std::string key = member.name.substr(0, dot), extension = lowercase(member.name.substr(dot));
    if (key != sample_.key) finish();
    sample_.key = key;
    if (const auto [before, is_new] = members_.emplace(extension, member.name); !is_new) {
      fail(shard_.path().string(), ": got ", printable(before->second), " and ", printable(member.name),
           " in one sample, expected one file with each extension. Give each sample a name of its own.");
    }
    if (is_image_extension(extension) && sample_.extension.empty()) {
      sample_.extension = member.name.substr(dot);
      sample_.shard = number_;
      sample_.offset = member.offset;
      sample_.size = member.size;
    } else if (extension == ".cls" || extension == ".json" || extension == ".txt") {
      if (member.size > kMaxLabelBytes) {
        fail(shard_.path().string(), ": ", printable(member.name), ": got ", member.size,
             " bytes, expected a label of at most ", kMaxLabelBytes, ".");
      }
      const std::string text = read_member(shard_, member.offset, member.size);
      const std::string label = extension == ".json"
                                    ? label_in_json(text, cat(shard_.path().string(), ": ", printable(member.name)))
                                    : trimmed(text);
      if (!label.empty()) found_[extension] = label;
    }
  }

  void finish() {
    if (!members_.empty()) {
      const auto label = std::find_if(kOrder.begin(), kOrder.end(), [&](const char* e) { return found_.contains(e); });
      if (sample_.extension.empty()) {
        ++out_.without_image;
      } else if (label == kOrder.end()) {
        ++out_.without_label;
      } else {
        if (!is_utf8(found_[*label])) {
          fail(shard_.path().string(), ": ", printable(sample_.key),
               ": got a label that is not UTF-8, expected UTF-8.");
        }
        out_.samples.push_back(sample_);
        out_.labels.push_back(found_[*label]);
      }
    }
    sample_ = {};
    found_.clear();
    members_.clear();
  }

  static constexpr std::array<const char*, 3> kOrder{".cls", ".json", ".txt"};
  const InputFile& shard_;
  std::size_t number_;
  ReadSamples& out_;
  ShardSample sample_;
  std::map<std::string, std::string> found_;
  std::map<std::string, std::string> members_;  // extension, name
};

// An index of a class or of a shard.
std::optional<std::int64_t> to_index(const std::string& text) {
  const auto number = to_integer(text);
  return number && *number >= 0 ? number : std::nullopt;
}

// Labels that are numbers are the indices of the classes; a class of its own for each other label.
std::vector<std::string> classes_of(const ReadSamples& read, const std::string& where) {
  constexpr std::int64_t kMaxClasses = 1'000'000;
  // More classes than this without images are a mistake: identifiers rather than indices.
  const auto plausible = static_cast<std::int64_t>(1000 + 100 * read.labels.size());
  const std::set<std::string> distinct(read.labels.begin(), read.labels.end());
  std::int64_t highest = -1;
  for (const std::string& label : distinct) {
    const auto number = to_index(label);
    if (!number || *number >= kMaxClasses) return {distinct.begin(), distinct.end()};
    highest = std::max(highest, *number);
  }
  if (highest >= plausible) {
    fail(where, ": got the label ", highest, " in ", counted(read.labels.size(), "sample"),
         ", expected indices of classes below ", plausible, ". Write names instead, or number the classes from 0.");
  }
  std::vector<std::string> out;
  for (std::int64_t i = 0; i <= highest; ++i) out.push_back(std::to_string(i));
  return out;
}

// The split that a word of the shard's name means, or of the name of its folder below `root`.
std::string split_of_shard(const fs::path& shard, const fs::path& root) {
  const auto in_words = [](const std::string& name) {
    std::string word;
    for (const char c : name + " ") {
      if (std::isalpha(static_cast<unsigned char>(c))) {
        word += c;
        continue;
      }
      if (const std::string split = split_of_name(word); !split.empty()) return split;
      word.clear();
    }
    return std::string();
  };
  const std::string own = in_words(shard.stem().string());
  const fs::path folder = shard.parent_path().lexically_relative(root);
  return own.empty() && folder != "." ? in_words(folder.filename().string()) : own;
}

}  // namespace

std::vector<std::string> expand_braces(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  const std::size_t close = open == std::string::npos ? open : pattern.find('}', open);
  if (close == std::string::npos) return {pattern};
  const std::string inside = pattern.substr(open + 1, close - open - 1);
  const std::size_t dots = inside.find("..");
  std::vector<std::string> parts;
  if (dots != std::string::npos) {
    const std::string from = inside.substr(0, dots), to = inside.substr(dots + 2);
    const auto first = to_index(from), last = to_index(to);
    if (!first || !last || *last < *first || *last - *first >= static_cast<std::int64_t>(kMaxExpandedNames))
      fail(printable(pattern), ": got {", printable(inside), "}, expected a range of up to ", kMaxExpandedNames,
           " numbers, e.g. {000..003}.");
    for (std::int64_t i = *first; i <= *last; ++i) {
      std::string number = std::to_string(i);
      parts.push_back(std::string(from.size() - std::min(from.size(), number.size()), '0') + number);
    }
  } else {
    for (std::size_t at = 0; at <= inside.size();) {
      const std::size_t comma = std::min(inside.find(',', at), inside.size());
      parts.push_back(inside.substr(at, comma - at));
      at = comma + 1;
    }
  }
  std::vector<std::string> out;
  const std::vector<std::string> rests = expand_braces(pattern.substr(close + 1));
  if (parts.size() * rests.size() > kMaxExpandedNames)
    fail(printable(pattern), ": got a pattern of ", parts.size() * rests.size(), " names, expected at most ",
         kMaxExpandedNames, ".");
  for (const std::string& part : parts) {
    for (const std::string& rest : rests) out.push_back(cat(pattern.substr(0, open), part, rest));
  }
  return out;
}

bool is_shards(const std::string& data) { return lowercase(data).ends_with(".tar"); }

std::vector<fs::path> shards_in(const fs::path& folder) {
  std::vector<fs::path> out;
  const auto add = [&](const fs::path& from) {
    std::error_code error;
    for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      std::error_code ignored;
      if (!name.starts_with('.') && is_shards(name) && it->is_regular_file(ignored)) out.push_back(it->path());
    }
  };
  add(folder);
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !split_of_name(it->path().filename().string()).empty()) add(it->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Splits open_shards(const std::vector<fs::path>& paths, const OpenOptions& options, const std::string& name,
                   const fs::path& root) {
  std::vector<std::string> split_names;
  for (const fs::path& path : paths) split_names.push_back(split_of_shard(path, root));
  const auto has_split = [](const std::string& text) { return !text.empty(); };
  const bool any = std::any_of(split_names.begin(), split_names.end(), has_split);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (any && split_names[i].empty()) {
      fail(paths[i].string(),
           ": got a shard without train, val or test in its name, expected one, as other shards have. Rename it, or "
           "move it out of the folder.");
    }
  }
  const auto shards = std::make_shared<Shards>();
  std::map<std::string, ReadSamples> read;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    shards->push_back(std::make_shared<InputFile>(paths[i]));
    if (options.use == DatasetUse::kEvaluation && split_names[i] == "train") continue;
    ShardReader(*shards->back(), i, read[split_names[i]]).read();
  }
  std::vector<std::string> classes = options.classes;
  if (classes.empty()) classes = classes_of(read[any ? "train" : ""], name);
  Splits out;
  const auto dataset = [&](const std::string& split_name) -> std::shared_ptr<const Dataset> {
    ReadSamples& found = read[split_name];
    const std::string where = split_name.empty() ? name : cat(name, ": ", split_name);
    if (found.without_image + found.without_label > 0) {
      out.notes.push_back(cat(where, ": ignored ", counted(found.without_image, "sample"), " without an image and ",
                              found.without_label, " without a label"));
    }
    out.notes.insert(out.notes.end(), found.notes.begin(), found.notes.end());
    std::map<std::string, std::int64_t> label_of;
    for (std::size_t i = 0; i < classes.size(); ++i) label_of[classes[i]] = static_cast<std::int64_t>(i);
    for (std::size_t i = 0; i < found.samples.size(); ++i) {
      const auto label = label_of.find(found.labels[i]);
      const auto index = to_index(found.labels[i]);
      // A number is an index, unless a class has it as its name.
      if (label == label_of.end() && (!index || *index >= static_cast<std::int64_t>(classes.size()))) {
        fail(where, ": ", printable(found.samples[i].key), ": got the class '", printable(found.labels[i]),
             "', which is unknown to training, expected one of its ", counted(classes.size(), "class"), ".",
             did_you_mean(found.labels[i], classes));
      }
      found.samples[i].label = label == label_of.end() ? *index : label->second;
    }
    if (found.samples.empty()) return nullptr;
    return std::make_shared<ShardImages>(shards, std::move(found.samples), classes, options.exif);
  };
  if (any) {
    out.train = dataset("train");
    out.validation = dataset("val");
    out.test = dataset("test");
  } else if (const auto all = dataset("")) {
    Splits made = split_by_class(all, options, name);
    made.notes.insert(made.notes.begin(), out.notes.begin(), out.notes.end());
    out = std::move(made);
  }
  if (!out.train && !out.validation && !out.test)
    fail(name, ": got no labelled images, expected samples of an image and a .cls, .json or .txt. ",
         join(out.notes, "; "), ". If it is an archive of a folder, unpack it.");
  return out;
}

}  // namespace lorikeet
