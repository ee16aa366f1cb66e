// data/cifar.h: a byte for the kind, odd for CIFAR-100; the length of the file of names; that file; the records, of the
// train and the test split.
#include "data/cifar.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "fuzz.h"

namespace {

// A folder in which links name files in memory.
class CifarFolder {
 public:
  explicit CifarFolder(bool has_hundred) : has_hundred_(has_hundred) {
    std::string name = (std::filesystem::temp_directory_path() / "fuzz-cifar-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, "a folder can be made");
    path_ = name;
  }
  ~CifarFolder() { std::filesystem::remove_all(path_); }
  CifarFolder(const CifarFolder&) = delete;
  CifarFolder& operator=(const CifarFolder&) = delete;

  void hold(const std::uint8_t* names, std::size_t length, const std::uint8_t* records, std::size_t size) {
    link(names_.hold(names, length), {has_hundred_ ? "fine_label_names.txt" : "batches.meta.txt"});
    const std::string& bytes = records_.hold(records, size);
    link(bytes, has_hundred_ ? std::vector<const char*>{"train.bin", "test.bin"}
                             : std::vector<const char*>{"data_batch_1.bin", "data_batch_3.bin", "test_batch.bin"});
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  void link(const std::string& to, const std::vector<const char*>& names) const {
    for (const char* name : names) {
      if (!std::filesystem::exists(path_ / name)) std::filesystem::create_symlink(to, path_ / name);
    }
  }

  bool has_hundred_;
  std::filesystem::path path_;
  MemoryFile names_, records_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static CifarFolder ten(false), hundred(true);
  if (size < 2) return 0;
  CifarFolder& folder = data[0] % 2 == 0 ? ten : hundred;
  const std::size_t names = std::min<std::size_t>(data[1], size - 2);
  folder.hold(data + 2, names, data + 2 + names, size - 2 - names);
  accepted([&] {
    const auto found = lorikeet::find_cifar(folder.path());
    require(found.has_value(), "the folder is CIFAR's");
    const lorikeet::Splits splits = lorikeet::open_cifar(*found, {});
    for (const auto& split : {splits.train, splits.test}) {
      require(split && split->size() > 0, "both splits have images");
      for (std::int64_t i = 0; i < split->size(); ++i) {
        const lorikeet::Sample sample = split->get(i);
        require(sample.label >= 0 && sample.label < static_cast<std::int64_t>(split->classes().size()),
                "a label is a class");
        check_bytes(sample.image);
        require(split->stored_end(i, 16).size() == 16, "an image has an end");
      }
    }
  });
  return 0;
}
