// Adapts a pretrained network to a folder of one's own images, saves the adapter, loads it again and predicts with it.
//
//   adapt PHOTOS ADAPTER [METHOD]        PHOTOS/train/<class>/*.jpg|png, PHOTOS/test/<class>/*.jpg|png; LORA, LOHA,
//   LOKR or IA3
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "lorikeet/lorikeet.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> folder_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

int adapt(const fs::path& photos, const fs::path& folder, const std::string& method) {
  lorikeet::Model model = lorikeet::load("efficientnet_lite0");
  model.adapt({.peft_type = method,
               .target_modules = {R"(blocks\.[56]\..*\.conv_pwl?)"},
               .r = 4,
               .modules_to_save = {"classifier"},
               .replace_output = true,
               .classes = folder_names(photos / "train")});
  std::printf("%lld parameters to learn\n", static_cast<long long>(model.trainable_parameters()));
  model.train(photos.string(), {.epochs = 3, .batch_size = 16, .learning_rate = 3e-3, .image_size = 64});
  model.save(folder);

  lorikeet::Model loaded = lorikeet::load(folder.string());
  std::printf("accuracy %.4f\n", loaded.evaluate(photos.string()).accuracy());
  const fs::path image = fs::directory_iterator(*fs::directory_iterator(photos / "test"))->path();
  const lorikeet::Guess guess = loaded.predict({image}).front().front();
  std::printf("%s: %s (%.2f)\n", image.c_str(), guess.name.c_str(), guess.probability);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: adapt PHOTOS ADAPTER [METHOD]\n");
    return 2;
  }
  try {
    return adapt(argv[1], argv[2], argc == 4 ? argv[3] : "LORA");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "adapt: %s\n", error.what());
    return 1;
  }
}
