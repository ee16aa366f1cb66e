#include "data/cifar.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::int64_t kCifarSide = 32;  // pixels
constexpr std::size_t kCifarPixels = 3 * kCifarSide * kCifarSide;
constexpr std::uint64_t kMaxCifarFile = 1ULL << 30;

class Cifar final : public Dataset {
 public:
  Cifar(std::string records, std::size_t labels, std::vector<std::string> classes, std::string name)
      : records_(std::move(records)), labels_(labels), classes_(std::move(classes)), name_(std::move(name)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(records_.size() / (labels_ + kCifarPixels)); }
  Sample get(std::int64_t index) const override {
    Sample sample{at::empty({3, kCifarSide, kCifarSide}, at::kByte), label(index)};
    std::memcpy(sample.image.data_ptr(), record(index) + labels_, kCifarPixels);
    return sample;
  }
  std::int64_t label(std::int64_t index) const override {
    return static_cast<std::uint8_t>(record(index)[labels_ - 1]);  // the fine one is the last
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::uint64_t memory_bytes() const override { return records_.size(); }
  std::uint64_t stored_size(std::int64_t) const override { return kCifarPixels; }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    const std::uint64_t taken = std::min<std::uint64_t>(most, kCifarPixels);
    return {record(index + 1) - taken, taken};
  }
  std::string describe(std::int64_t index) const override { return cat(name_, " image ", index); }

 private:
  const char* record(std::int64_t index) const {
    return records_.data() + static_cast<std::size_t>(index) * (labels_ + kCifarPixels);
  }

  std::string records_;
  std::size_t labels_;  // bytes before the pixels of a record
  std::vector<std::string> classes_;
  std::string name_;
};

struct CifarLayout {
  std::vector<std::string> train;
  std::string test;
  std::string names;
  std::size_t labels;
};

std::optional<CifarLayout> cifar_layout(const fs::path& folder) {
  const auto has = [&](const std::string& name) { return fs::exists(folder / name); };
  CifarLayout ten{{}, "test_batch.bin", "batches.meta.txt", 1};
  for (int i = 1; i <= 5; ++i) {
    if (has(cat("data_batch_", i, ".bin"))) ten.train.push_back(cat("data_batch_", i, ".bin"));
  }
  if (!ten.train.empty() || has(ten.test)) return ten;
  CifarLayout hundred{{"train.bin"}, "test.bin", "fine_label_names.txt", 2};
  if (!has("train.bin")) hundred.train.clear();
  // Other programs use these names too.
  const bool is_cifar = has(hundred.names) || (has("train.bin") && fs::file_size(folder / "train.bin") % 3074 == 0) ||
                        (has("test.bin") && fs::file_size(folder / "test.bin") % 3074 == 0);
  return is_cifar && (!hundred.train.empty() || has(hundred.test)) ? std::optional(hundred) : std::nullopt;
}

std::shared_ptr<const Dataset> read_cifar(const fs::path& folder, const std::vector<std::string>& files,
                                          std::size_t labels, const std::vector<std::string>& classes) {
  std::string records;
  for (const std::string& name : files) {
    const std::string bytes = read_file(folder / name, kMaxCifarFile);
    const std::size_t record = labels + kCifarPixels;
    if (bytes.empty() || bytes.size() % record != 0) {
      fail((folder / name).string(), ": got ", counted(bytes.size(), "byte"), ", expected a multiple of ",
           with_commas(record), ". The file is not CIFAR's, or is truncated.");
    }
    for (std::size_t i = 0; i * record < bytes.size(); ++i) {
      const auto label = static_cast<std::uint8_t>(bytes[i * record + labels - 1]);
      if (label >= classes.size()) {
        fail((folder / name).string(), ": got label ", int{label}, " for image ", i, ", expected 0 to ",
             classes.size() - 1, ".");
      }
    }
    records += bytes;
  }
  return std::make_shared<Cifar>(std::move(records), labels, classes, folder.string());
}

std::vector<std::string> cifar_classes(const fs::path& path, std::size_t labels) {
  std::vector<std::string> out;
  if (fs::exists(path)) {
    std::string text = read_file(path, 1 << 20), line;
    text += '\n';
    for (const char c : text) {
      if (c != '\n') {
        if (c != '\r') line += c;
        continue;
      }
      if (!line.empty()) out.push_back(to_utf8(line));
      line.clear();
    }
  }
  if (!out.empty()) return out;
  for (int i = 0; i < (labels == 1 ? 10 : 100); ++i) out.push_back(std::to_string(i));
  return out;
}

}  // namespace

std::optional<fs::path> find_cifar(const fs::path& folder) {
  for (const fs::path& candidate : {folder, folder / "cifar-10-batches-bin", folder / "cifar-100-binary"}) {
    if (cifar_layout(candidate)) return candidate;
  }
  return std::nullopt;
}

bool is_python_cifar(const fs::path& folder) {
  for (const fs::path& candidate : {folder, folder / "cifar-10-batches-py", folder / "cifar-100-python"}) {
    const auto has = [&](const char* name) { return fs::is_regular_file(candidate / name); };
    if ((has("batches.meta") && (has("data_batch_1") || has("test_batch"))) ||
        (has("meta") && (has("train") || has("test"))))
      return true;
  }
  return false;
}

Splits open_cifar(const fs::path& folder, const OpenOptions& options) {
  const CifarLayout layout = *cifar_layout(folder);
  const auto classes = options.classes.empty() ? cifar_classes(folder / layout.names, layout.labels) : options.classes;
  Splits out;
  if (options.use == DatasetUse::kTraining && !layout.train.empty())
    out.train = read_cifar(folder, layout.train, layout.labels, classes);
  if (fs::exists(folder / layout.test)) out.test = read_cifar(folder, {layout.test}, layout.labels, classes);
  return out;
}

}  // namespace lorikeet
