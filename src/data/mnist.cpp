#include "data/mnist.h"

#include <ATen/Functions.h>

#include <cstring>

#include "base/error.h"
#include "io/idx.h"

namespace lorikeet {
namespace {

class Mnist final : public Dataset {
 public:
  Mnist(IdxArray images, IdxArray labels, std::vector<std::string> classes, std::string name)
      : images_(std::move(images)), labels_(std::move(labels)), classes_(std::move(classes)), name_(std::move(name)) {}

  std::int64_t size() const override { return images_.shape[0]; }

  Sample get(std::int64_t index) const override {
    const std::int64_t height = images_.shape[1];
    const std::int64_t width = images_.shape[2];
    Sample sample{at::empty({3, height, width}, at::kByte), labels_.bytes[static_cast<std::size_t>(index)]};
    const auto pixels = static_cast<std::size_t>(height * width);
    auto* to = sample.image.data_ptr<std::uint8_t>();
    for (std::size_t channel = 0; channel < 3; ++channel) {
      std::memcpy(to + channel * pixels, images_.bytes.data() + static_cast<std::size_t>(index) * pixels, pixels);
    }
    return sample;
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  std::uint64_t memory_bytes() const override { return images_.bytes.size() + labels_.bytes.size(); }
  std::string describe(std::int64_t index) const override { return cat(name_, " image ", index); }

 private:
  IdxArray images_;
  IdxArray labels_;
  std::vector<std::string> classes_;
  std::string name_;
};

}  // namespace

std::shared_ptr<const Dataset> read_mnist(const std::filesystem::path& images, const std::filesystem::path& labels,
                                          std::vector<std::string> classes) {
  IdxArray pixels = read_idx(images, 3);
  IdxArray targets = read_idx(labels, 1);
  if (pixels.shape[0] != targets.shape[0]) {
    fail(labels.string(), ": got ", targets.shape[0], " labels, expected ", pixels.shape[0],
         ", as many as the images in ", images.string(), ".");
  }
  if (pixels.bytes.empty()) fail(images.string(), ": got no images, expected at least one.");
  for (std::size_t i = 0; i < targets.bytes.size(); ++i) {
    if (targets.bytes[i] >= classes.size()) {
      fail(labels.string(), ": got label ", int{targets.bytes[i]}, " for image ", i, ", expected 0 to ",
           classes.size() - 1, ".");
    }
  }
  return std::make_shared<Mnist>(std::move(pixels), std::move(targets), std::move(classes), images.string());
}

}  // namespace lorikeet
