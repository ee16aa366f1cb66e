// Adapts a pretrained network to a folder of images, saves the adapter, loads it again and predicts with it.
//
//   adapt PHOTOS ADAPTER [METHOD]
//
// PHOTOS holds train/<class>/*.jpg|png and test/<class>/*.jpg|png. METHOD is LORA, LOHA, LOKR or IA3.
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
               .target_modules = R"(blocks\.[56]\..*\.conv_pwl?)",
               .modules_to_save = {"classifier"},
               .r = 4,
               .replace_output = true,
               .classes = folder_names(photos / "train")});
  std::printf("%lld trainable parameters\n", static_cast<long long>(model.trainable_parameters()));
  const lorikeet::TrainReport report = model.train({.data = {.name = photos.string(), .image_size = 64},
                                                    .optimizer = {.learning_rate = 3e-3},
                                                    .loop = {.epochs = 3, .batch_size = 16}});
  std::printf("%.0f images per second, loss %.4f\n", report.images_per_second(), report.loss);
  model.save(folder);

  lorikeet::Model loaded = lorikeet::load(folder.string());
  std::printf("accuracy %.4f\n", loaded.evaluate(photos.string()).accuracy());
  const fs::path image = fs::directory_iterator(*fs::directory_iterator(photos / "test"))->path();
  const lorikeet::Prediction found = loaded.predict({image}).front().front();
  std::printf("%s: %s (%.2f)\n", image.c_str(), found.label.c_str(), found.probability);
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
