// Our random transforms with given parameters, for tests/reference/transforms_test.py:
//   transform_images magnitudes HEIGHT WIDTH                prints the magnitudes of each operation
//   transform_images apply IMAGE OUT.safetensors (OPERATION MAGNITUDE)…
//                                                           writes "0", "1" …, uint8 (3, H, W); also Hue FACTOR and
//                                                           Erase "TOP LEFT HEIGHT WIDTH"
//   transform_images mix IN.safetensors OUT.safetensors OWN X Y CLASSES
//                                                           mixes "images" and "labels" by MixUp and CutMix
#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "image/augment.h"
#include "image/auto_augment.h"
#include "image/color.h"
#include "image/decode.h"
#include "image/mix.h"
#include "io/safetensors.h"

namespace {

using namespace lorikeet;

constexpr std::array<const char*, kAugmentOperations> kNames{
    "Identity", "ShearX",   "ShearY",    "TranslateX", "TranslateY", "Rotate",       "Brightness",
    "Color",    "Contrast", "Sharpness", "Posterize",  "Solarize",   "AutoContrast", "Equalize"};

void print_magnitudes(std::int64_t height, std::int64_t width) {
  Json out{{"rand", Json::object()}, {"trivial", Json::object()}};
  for (int i = 0; i < kAugmentOperations; ++i) {
    const auto operation = static_cast<AugmentOperation>(i);
    for (int index = 0; index < kAugmentMagnitudes; ++index) {
      const char* name = kNames[static_cast<std::size_t>(i)];
      out["rand"][name].push_back(rand_augment_magnitude(operation, index, height, width));
      out["trivial"][name].push_back(trivial_augment_magnitude(operation, index));
    }
  }
  std::printf("%s\n", json_text(out).c_str());
}

at::Tensor applied(const at::Tensor& image, const std::string& name, const std::string& value) {
  if (name == "Hue") return adjust_hue(image, std::stod(value));
  if (name == "Erase") {
    std::istringstream numbers(value);
    Region region;
    numbers >> region.top >> region.left >> region.height >> region.width;
    return erased(image, region, {});
  }
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) fail(name, ": got an unknown operation.");
  return apply_operation(image, static_cast<AugmentOperation>(found - kNames.begin()), std::stod(value));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    const std::string& command = arguments.at(0);
    NamedTensors out;
    if (command == "magnitudes") {
      print_magnitudes(std::stoll(arguments.at(1)), std::stoll(arguments.at(2)));
      return 0;
    }
    if (command == "apply") {
      const at::Tensor image = read_image(arguments.at(1));
      for (std::size_t i = 3; i + 1 < arguments.size(); i += 2)
        out.add(std::to_string((i - 3) / 2), applied(image, arguments[i], arguments[i + 1]).contiguous());
    } else {
      const NamedTensors in = read_safetensors(arguments.at(1));
      const at::Tensor &images = *in.find("images"), &labels = *in.find("labels");
      const double own = std::stod(arguments.at(3));
      const std::int64_t classes = std::stoll(arguments.at(6));
      const Mixing blend{.own = own};
      const Mixing cut =
          cut_at(own, std::stoll(arguments.at(4)), std::stoll(arguments.at(5)), images.size(2), images.size(3));
      out.add("mixup_images", mixed_images(images, blend).contiguous());
      out.add("mixup_labels", mixed_labels(labels, classes, blend));
      out.add("cutmix_images", mixed_images(images, cut).contiguous());
      out.add("cutmix_labels", mixed_labels(labels, classes, cut));
    }
    write_safetensors(arguments.at(2), out);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
