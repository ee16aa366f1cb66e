#include "data/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/image_files.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::size_t kNamesInNote = 5;

std::string lower_extension(const fs::path& path) { return lowercase(path.extension().string()); }

template <std::size_t N>
bool is_one_of(const std::string& text, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool is_image(const fs::path& path) { return is_image_extension(lower_extension(path)); }

// Whether the file is an image of an unsupported format, which is worth a note, unlike other files.
bool is_other_image(const fs::path& path) {
  static constexpr std::array<std::string_view, 15> kOthers{".heic", ".heif", ".avif", ".jxl", ".jp2",
                                                            ".ppm",  ".pgm",  ".cr2",  ".cr3", ".nef",
                                                            ".arw",  ".dng",  ".orf",  ".raf", ".rw2"};
  return is_one_of(lower_extension(path), kOthers);
}

// Whether the folder is created by a system rather than for a class.
bool is_system_folder(const std::string& name) {
  static constexpr std::array<std::string_view, 7> kSystem{
      "@eaDir", "@Recycle", "#recycle", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"};
  return name.starts_with('.') || is_one_of(name, kSystem);
}

std::vector<fs::directory_entry> sorted_entries(const fs::path& folder) {
  std::vector<fs::directory_entry> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) out.push_back(*it);
  if (error) fail(folder.string(), ": cannot be read: ", error.message(), ".");
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path().native() < b.path().native(); });
  return out;
}

// False for broken and circular links.
bool is_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_directory(ignored);
}
bool is_file(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_regular_file(ignored);
}

// Content of one class, or of a split outside its classes. Paths are relative to the split.
struct Content {
  std::vector<std::pair<std::string, std::string>> images;  // folder, name
  std::vector<std::string> other_images;
  std::vector<std::string> ignored_folders;
  std::vector<std::string> other_files;
  std::vector<std::string> broken_links;
};

void add_file(const fs::path& folder, const fs::directory_entry& entry, Content& out) {
  const std::string name = entry.path().filename().string();
  if (name.starts_with('.')) return;
  if (std::error_code ignored; entry.is_symlink(ignored) && !entry.exists(ignored))
    out.broken_links.push_back((folder / name).string());
  if (!is_file(entry)) return;
  if (is_image(entry.path())) {
    out.images.emplace_back(folder.string(), name);
  } else {
    (is_other_image(entry.path()) ? out.other_images : out.other_files).push_back((folder / name).string());
  }
}

// Reads all files of a class. Visited folders are identified by device and inode, so links to them are skipped.
class ClassReader {
 public:
  ClassReader(const fs::path& split, const std::string& name) : split_(split), links_{name} {}

  Content read() {
    for (std::size_t i = 0; i < links_.size(); ++i) read_folder(fs::path(links_[i]));  // may add links
    std::sort(content_.images.begin(), content_.images.end());
    return std::move(content_);
  }

 private:
  void read_folder(const fs::path& folder) {
    struct stat identity {};
    if (stat((split_ / folder).c_str(), &identity) != 0) {
      fail(printable((split_ / folder).string()), ": cannot be read: ", std::generic_category().message(errno), ".",
           errno == ENAMETOOLONG ? " Move the folders up, so that their path is shorter." : "");
    }
    if (!read_.emplace(identity.st_dev, identity.st_ino).second) return;
    for (const auto& entry : sorted_entries(split_ / folder)) {
      const fs::path path = folder / entry.path().filename();
      if (!is_folder(entry)) {
        add_file(folder, entry, content_);
      } else if (is_system_folder(path.filename().string())) {
        content_.ignored_folders.push_back(path.string());
      } else if (std::error_code ignored; entry.is_symlink(ignored)) {
        links_.push_back(path.string());  // last, so that a folder in this class is read under its own path
      } else {
        read_folder(path);
      }
    }
  }

  const fs::path& split_;
  std::vector<std::string> links_;
  std::set<std::pair<dev_t, ino_t>> read_;
  Content content_;
};

std::string list_of(std::vector<std::string> names) {
  for (std::string& name : names) name = printable(name);
  return join_first(names, kNamesInNote);
}

// A folder of a split with its content and the label of its class; -1 for a class unknown to training.
struct ClassFolder {
  std::string name;
  Content content;
  std::int64_t label;
};

class SplitReader {
 public:
  SplitReader(const fs::path& root, const std::string& split, const std::vector<std::string>& classes, Exif exif,
              std::vector<std::string>* faults)
      : path_(split.empty() ? root : root / split), split_(split), defines_classes_(classes.empty()), classes_(classes),
        exif_(exif), faults_(faults) {}

  FolderSplit read() {
    read_folders();
    FolderSplit out;
    std::vector<ImageFile> items;
    for (const ClassFolder& folder : folders_) {
      if (folder.label < 0) continue;  // a fault below
      for (const auto& [parent, name] : folder.content.images) items.push_back({path_ / parent / name, folder.label});
    }
    if (defines_classes_) {
      check_every_class();
    } else {
      check_known();
    }
    add_notes(items);
    if (!items.empty()) out.images = image_files(std::move(items), classes_, exif_);
    out.notes = std::move(notes_);
    return out;
  }

 private:
  void read_folders() {
    for (const auto& entry : sorted_entries(path_)) {
      const std::string name = entry.path().filename().string();
      if (!is_folder(entry)) {
        add_file({}, entry, outside_);
      } else if (is_system_folder(name)) {
        outside_.ignored_folders.push_back(name);
      } else {
        folders_.push_back({name, ClassReader(path_, name).read(), -1});
      }
    }
    if (defines_classes_) {
      for (const ClassFolder& folder : folders_) classes_.push_back(folder.name);
    }
    for (ClassFolder& folder : folders_) {
      const auto position = std::find(classes_.begin(), classes_.end(), folder.name);
      if (position != classes_.end()) folder.label = position - classes_.begin();
    }
  }

  // Throws the fault, or reports it.
  void found(const std::string& fault) const {
    if (faults_ == nullptr) fail(fault);
    faults_->push_back(fault);
  }

  // For a split that defines the classes: a class without images would be an output that is never trained.
  void check_every_class() const {
    if (folders_.empty()) {
      fail(path_.string(), ": got no folders",
           outside_.images.empty() ? "" : cat(" beside ", counted(outside_.images.size(), "image"), " without a class"),
           ", expected one per class, with its images. The layout is ", split_, split_.empty() ? "" : "/",
           "<class>/*.jpg|png.");
    }
    std::vector<std::string> empty;
    for (const ClassFolder& folder : folders_) {
      if (!is_utf8(folder.name)) {
        fail((path_ / "").string(), printable(folder.name),
             ": got a class whose name is not UTF-8, expected UTF-8. Rename the folder, e.g. with convmv.");
      }
      if (!folder.content.images.empty()) continue;
      std::vector<std::string> others = folder.content.other_images;
      others.insert(others.end(), folder.content.other_files.begin(), folder.content.other_files.end());
      empty.push_back(others.empty() ? folder.name
                                     : cat(folder.name, " (but ", counted(others.size(), "other file"), ", such as ",
                                           others.front(), ")"));
    }
    if (empty.size() == folders_.size()) {
      fail(path_.string(),
           ": got no images, expected *.jpg, *.png or similar in the folders of its classes: ", list_of(empty), ".");
    }
    if (!empty.empty()) {
      found(cat(path_.string(), ": got no images of ", list_of(empty),
                ", expected *.jpg, *.png or similar in the folder of each class. Add some, or remove the folder."));
    }
  }

  // For a split whose classes are defined by training.
  void check_known() const {
    const bool any_known = std::any_of(folders_.begin(), folders_.end(), [](const auto& f) { return f.label >= 0; });
    for (const ClassFolder& folder : folders_) {
      if (folder.label >= 0 || folder.content.images.empty()) continue;
      found(cat((path_ / folder.name).string(), ": got a class unknown to training, expected one of its ",
                counted(classes_.size(), "class"), ".", did_you_mean(folder.name, classes_),
                any_known || split_.empty() ? "" : cat(" Images without labels belong directly into ", split_, "/.")));
    }
  }

  void add_notes(const std::vector<ImageFile>& items) {
    const std::string where = path_.string() + ": ";
    if (items.empty()) {
      notes_.push_back(outside_.images.empty()
                           ? cat(where, "ignored, because it has no images")
                           : cat(where, "ignored, because it has no class folders, so that its ",
                                 counted(outside_.images.size(), "image"),
                                 outside_.images.size() == 1 ? " has no label" : " have no labels"));
      return;
    }
    if (!outside_.images.empty()) {
      notes_.push_back(cat(where, "ignored ", counted(outside_.images.size(), "image"),
                           " outside the class folders, such as ", printable(outside_.images.front().second)));
    }
    std::vector<std::string> other_images = outside_.other_images, ignored_folders = outside_.ignored_folders,
                             broken_links = outside_.broken_links, missing;
    std::set<std::int64_t> present;
    for (const ClassFolder& folder : folders_) {
      const Content& content = folder.content;
      other_images.insert(other_images.end(), content.other_images.begin(), content.other_images.end());
      ignored_folders.insert(ignored_folders.end(), content.ignored_folders.begin(), content.ignored_folders.end());
      broken_links.insert(broken_links.end(), content.broken_links.begin(), content.broken_links.end());
      if (folder.label < 0 && content.images.empty()) ignored_folders.push_back(folder.name);
      if (!content.images.empty()) present.insert(folder.label);
    }
    if (!other_images.empty()) {
      notes_.push_back(
          cat(where, "ignored ", counted(other_images.size(), "image"), " of other formats: ", list_of(other_images)));
    }
    if (!broken_links.empty()) {
      notes_.push_back(cat(where, "ignored ", counted(broken_links.size(), "link"),
                           " to what does not exist: ", list_of(broken_links)));
    }
    if (!ignored_folders.empty()) {
      notes_.push_back(cat(where, "ignored ", counted(ignored_folders.size(), "folder"),
                           " (hidden, empty or created by a system): ", list_of(ignored_folders)));
    }
    for (std::size_t i = 0; i < classes_.size(); ++i) {
      if (present.count(static_cast<std::int64_t>(i)) == 0) missing.push_back(classes_[i]);
    }
    if (!missing.empty()) {
      notes_.push_back(cat(where, "no images of ", counted(missing.size(), "class"), " of ", classes_.size(), ": ",
                           list_of(missing)));
    }
  }

  fs::path path_;
  std::string split_;
  bool defines_classes_;
  std::vector<std::string> classes_;
  Exif exif_;
  std::vector<std::string>* faults_;
  std::vector<ClassFolder> folders_;
  Content outside_;  // outside the classes
  std::vector<std::string> notes_;
};

}  // namespace

bool is_image_extension(const std::string& lower) {
  static constexpr std::array<std::string_view, 10> kRead{".jpg",  ".jpeg", ".png", ".jpe", ".jfif",
                                                          ".webp", ".bmp",  ".gif", ".tif", ".tiff"};
  return is_one_of(lower, kRead);
}

bool has_class_folders(const fs::path& root) {
  const auto folders = folders_in(root);
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& name) { return !ClassReader(root, name).read().images.empty(); });
}

FoundImages images_in(const fs::path& folder) {
  const Content content = ClassReader(folder, "").read();
  FoundImages out;
  for (const auto& [parent, name] : content.images) out.images.push_back(folder / parent / name);
  for (const std::string& name : content.other_images) out.others.push_back(folder / name);
  return out;
}

bool has_split(const fs::path& root, const std::string& split) {
  std::error_code ignored;
  return fs::is_directory(root / split, ignored);
}

std::optional<std::string> find_split(const fs::path& root, const std::vector<std::string>& names) {
  std::optional<std::string> out;
  for (const std::string& name : names) {
    if (!has_split(root, name)) continue;
    if (out) fail(root.string(), ": got both ", *out, "/ and ", name, "/, expected one of them. Rename the other.");
    out = name;
  }
  return out;
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : sorted_entries(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_folder(entry) && !is_system_folder(name)) out.push_back(name);
  }
  return out;
}

FolderSplit read_image_folder(const fs::path& root, const std::string& split, const std::vector<std::string>& classes,
                              Exif exif, std::vector<std::string>* faults) {
  return SplitReader(root, split, classes, exif, faults).read();
}

}  // namespace lorikeet
