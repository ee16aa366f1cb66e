#include "data/mnist.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "io/idx.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

class Mnist final : public Dataset {
 public:
  Mnist(IdxArray images, IdxArray labels, std::vector<std::string> classes, std::string name)
      : images_(std::move(images)), labels_(std::move(labels)), classes_(std::move(classes)), name_(std::move(name)) {}
  std::int64_t label(std::int64_t index) const override { return labels_.bytes[static_cast<std::size_t>(index)]; }

  std::int64_t size() const override { return images_.shape[0]; }

  Sample get(std::int64_t index) const override {
    const std::int64_t height = images_.shape[1];
    const std::int64_t width = images_.shape[2];
    Sample sample{at::empty({3, height, width}, at::kByte), label(index)};
    const auto pixels = static_cast<std::size_t>(height * width);
    auto* to = sample.image.data_ptr<std::uint8_t>();
    for (std::size_t channel = 0; channel < 3; ++channel) {
      std::memcpy(to + channel * pixels, images_.bytes.data() + static_cast<std::size_t>(index) * pixels, pixels);
    }
    return sample;
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  std::uint64_t memory_bytes() const override { return images_.bytes.size() + labels_.bytes.size(); }
  std::uint64_t stored_size(std::int64_t) const override {
    return static_cast<std::uint64_t>(images_.shape[1] * images_.shape[2]);
  }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    const std::uint64_t size = stored_size(index), end = size * (static_cast<std::uint64_t>(index) + 1);
    const std::uint64_t taken = std::min(most, size);
    return {reinterpret_cast<const char*>(images_.bytes.data()) + (end - taken), taken};
  }
  std::string describe(std::int64_t index) const override { return cat(name_, " image ", index); }

 private:
  IdxArray images_;
  IdxArray labels_;
  std::vector<std::string> classes_;
  std::string name_;
};

// "emnist-letters-train-images.idx3-ubyte.gz" → {"emnist-letters-", train, images}.
struct MnistName {
  std::string prefix;
  bool is_train;
  bool is_images;
};

std::optional<MnistName> mnist_name(std::string name) {
  name = lowercase(name);
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  std::replace(name.begin(), name.end(), '.', '-');
  if (name.ends_with("-ubyte")) name.resize(name.size() - 6);
  for (const bool is_images : {true, false}) {
    for (const auto& [split, is_train] :
         {std::pair("train", true), std::pair("t10k", false), std::pair("test", false)}) {
      const std::string end = cat(split, is_images ? "-images-idx3" : "-labels-idx1");
      if (!name.ends_with(end)) continue;
      const std::string prefix = name.substr(0, name.size() - end.size());
      if (prefix.empty() || prefix.ends_with('-') || prefix.ends_with('_'))
        return MnistName{prefix, is_train, is_images};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<MnistFiles> find_mnist(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    entries.push_back(it->path());
  std::sort(entries.begin(), entries.end());  // a plain file comes before its .gz
  std::optional<MnistFiles> out;
  for (fs::path path : entries) {
    const auto name = mnist_name(path.filename().string());
    if (!name) continue;
    std::error_code ignored;
    if (fs::exists(path / path.filename(), ignored)) path /= path.filename();
    if (!out)
      out = MnistFiles{
          .train_images = {}, .train_labels = {}, .test_images = {}, .test_labels = {}, .prefix = name->prefix};
    if (name->prefix != out->prefix) {
      fail(folder.string(), ": got both ", printable(out->prefix), "* and ", printable(name->prefix),
           "*, expected the files of one dataset. Move those of the other into a folder of their own.");
    }
    fs::path& file = name->is_train ? (name->is_images ? out->train_images : out->train_labels)
                                    : (name->is_images ? out->test_images : out->test_labels);
    if (file.empty()) file = path;
  }
  return out;
}

std::shared_ptr<const Dataset> read_mnist(const fs::path& images, const fs::path& labels,
                                          std::vector<std::string> classes, int first_label) {
  IdxArray pixels = read_idx(images, 3);
  IdxArray targets = read_idx(labels, 1);
  if (pixels.shape[0] != targets.shape[0]) {
    fail(labels.string(), ": got ", counted(targets.shape[0], "label"), ", expected ", with_commas(pixels.shape[0]),
         ", as many as the images in ", images.string(), ".");
  }
  if (pixels.bytes.empty()) fail(images.string(), ": got no images, expected at least one.");
  for (std::size_t i = 0; i < targets.bytes.size(); ++i) {
    const int label = targets.bytes[i] - first_label;
    if (label < 0 || static_cast<std::size_t>(label) >= classes.size()) {
      fail(labels.string(), ": got label ", int{targets.bytes[i]}, " for image ", i, ", expected ", first_label, " to ",
           first_label + static_cast<int>(classes.size()) - 1, ".");
    }
    targets.bytes[i] = static_cast<std::uint8_t>(label);
  }
  return std::make_shared<Mnist>(std::move(pixels), std::move(targets), std::move(classes), images.string());
}

}  // namespace lorikeet
