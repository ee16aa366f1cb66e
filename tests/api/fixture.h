// Shared data for the tests of the public interface, created once: a ResNet-18 with random weights, a folder of small
// images in two classes that are easy to distinguish, and an adapter trained on them.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "image/encode.h"
#include "io/named_tensors.h"
#include "io/safetensors.h"
#include "lorikeet/lorikeet.h"
#include "models/models.h"
#include "temporary_folder.h"

/// ResNet-18's parameters as PyTorch would start them, from a seed.
inline void write_random_resnet18(const std::filesystem::path& path, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  lorikeet::NamedTensors tensors;
  for (const auto& parameter : lorikeet::find_model("resnet18").build().parameters()) {
    at::Tensor tensor = at::zeros(parameter.shape);
    const bool is_scale = parameter.shape.size() == 1 && parameter.name.find("bias") == std::string::npos &&
                          parameter.name.find("running_mean") == std::string::npos;
    if (is_scale) tensor.fill_(1);
    if (parameter.shape.size() > 1)
      tensor.normal_(0, std::sqrt(2.0 / static_cast<double>(tensor.numel() / tensor.size(0))), generator);
    tensors.add(parameter.name, tensor);
  }
  lorikeet::write_safetensors(path, tensors);
}

/// uint8 (3, side, side): noise, red for class 0 and blue for class 1.
inline at::Tensor coloured_image(int label, std::uint64_t seed, std::int64_t side = 32) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  at::Tensor image = at::empty({3, side, side}).uniform_(0, 120, generator);
  image[label == 0 ? 0 : 2] += 120;
  return image.to(at::kByte);
}

class Fixture {
 public:
  static const Fixture& get() {
    static const Fixture kFixture;
    return kFixture;
  }

  /// A base model, without official weights.
  lorikeet::Model base() const { return lorikeet::load(weights().string(), {.model = "resnet18"}); }
  /// LoRA on the last block and a new output for two classes.
  static lorikeet::AdapterOptions adapter_options() {
    return {.target_modules = R"(layer4\.1\.conv[12])",
            .modules_to_save = {"fc"},
            .r = 2,
            .replace_output = true,
            .classes = {"blue", "red"}};
  }
  lorikeet::Model adapted() const {
    lorikeet::Model model = base();
    model.adapt(adapter_options());
    return model;
  }
  lorikeet::TrainingOptions training() const {
    return {.data = {.name = images().string(), .image_size = 32},
            .optimizer = {.learning_rate = 1e-2},
            .loop = {.epochs = 2, .batch_size = 4}};
  }
  /// The saved adapter, loaded over its base.
  lorikeet::Model trained() const { return lorikeet::load(adapter().string(), {.weights = weights()}); }

  std::filesystem::path weights() const { return folder_.path / "resnet18.safetensors"; }
  /// Of another base.
  std::filesystem::path other_weights() const { return folder_.path / "other.safetensors"; }
  std::filesystem::path adapter() const { return folder_.path / "adapter"; }
  /// train/ with eight images a class, test/ with three.
  std::filesystem::path images() const { return folder_.path / "images"; }
  std::filesystem::path image(int label, int index = 0) const {
    return images() / "test" / (label == 0 ? "red" : "blue") / (std::to_string(index) + ".png");
  }
  std::vector<lorikeet::Image> test_images() const {
    return {image(0, 0), image(1, 0), image(0, 1), image(1, 1), image(0, 2), image(1, 2)};
  }

 private:
  Fixture() {
    write_random_resnet18(weights(), 1);
    write_random_resnet18(other_weights(), 2);
    for (int label = 0; label < 2; ++label) {
      for (const auto& [split, count] : {std::pair{"train", 8}, std::pair{"test", 3}}) {
        const auto to = images() / split / (label == 0 ? "red" : "blue");
        std::filesystem::create_directories(to);
        for (int i = 0; i < count; ++i) {
          lorikeet::write_png(
              coloured_image(label, static_cast<std::uint64_t>(100 * label + i + (count == 3 ? 50 : 0))),
              to / (std::to_string(i) + ".png"));
        }
      }
    }
    lorikeet::Model model = adapted();
    model.train(training());
    model.save(adapter());
  }

  TemporaryFolder folder_;
};

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(static_cast<double>(a[i]) - b[i]));
  return out;
}
