#include "data/image_folder.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/text.h"
#include "image/decode.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

struct Item {
  fs::path path;
  std::int64_t label;
};

class ImageFolder final : public Dataset {
 public:
  ImageFolder(std::vector<Item> items, std::vector<std::string> classes)
      : items_(std::move(items)), classes_(std::move(classes)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  Sample get(std::int64_t index) const override {
    const Item& item = items_[static_cast<std::size_t>(index)];
    return {read_image(item.path), item.label};
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe(std::int64_t index) const override {
    return items_[static_cast<std::size_t>(index)].path.string();
  }

 private:
  std::vector<Item> items_;
  std::vector<std::string> classes_;
};

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// Links that lead nowhere, or back to themselves, are neither.
bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}
bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_hidden(const fs::path& path) { return path.filename().string().rfind('.', 0) == 0; }

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path());
  if (error) fail(folder.string(), ": cannot be read: ", error.message(), ".");
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

bool has_split(const fs::path& root, const std::string& split) { return is_folder(root / split); }

std::vector<std::string> folder_classes(const fs::path& root, const std::string& split) {
  std::vector<std::string> out;
  for (const auto& entry : sorted_entries(root / split)) {
    if (is_folder(entry) && !is_hidden(entry)) out.push_back(entry.filename().string());
  }
  if (out.empty()) {
    fail((root / split).string(), ": got no folders, expected one for each class, with its images. The layout is ",
         split, "/<class>/*.jpg|png.");
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::shared_ptr<const Dataset> read_image_folder(const fs::path& root, const std::string& split,
                                                 const std::vector<std::string>& classes) {
  const std::vector<std::string> found = folder_classes(root, split);
  const std::vector<std::string>& names = classes.empty() ? found : classes;
  std::vector<Item> items;
  for (const auto& name : found) {
    const auto position = std::find(names.begin(), names.end(), name);
    if (position == names.end()) {
      fail((root / split / name).string(), ": got a class that training does not know, expected one of its ",
           names.size(), " classes.", did_you_mean(name, names));
    }
    for (const auto& entry : sorted_entries(root / split / name)) {
      if (is_file(entry) && !is_hidden(entry) && is_image(entry)) items.push_back({entry, position - names.begin()});
    }
  }
  if (items.empty())
    fail((root / split).string(), ": got no images, expected *.jpg, *.jpeg or *.png in the folders of its classes.");
  return std::make_shared<ImageFolder>(std::move(items), names);
}

}  // namespace lorikeet
