#include "models/preprocessor_config.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/config_values.h"

namespace lorikeet {
namespace {

using ChannelNumbers = std::array<double, 3>;

constexpr int kLargestSide = 4096;
constexpr ChannelNumbers kHalves{0.5, 0.5, 0.5};  // transformers' IMAGENET_STANDARD_MEAN
constexpr ChannelNumbers kDefaultMean{0.485, 0.456, 0.406}, kDefaultStd{0.229, 0.224, 0.225};
constexpr ChannelNumbers kClipMean{0.48145466, 0.4578275, 0.40821073}, kClipStd{0.26862954, 0.26130258, 0.27577711};

int side_in_pixels(const char* key, const Json& value) {
  return static_cast<int>(ConfigValues::integer_of(key, value, kLargestSide));
}

// One number for all channels, or one for each.
ChannelNumbers channels_of(const ConfigValues& values, const char* key, const ChannelNumbers& otherwise,
                           bool above_zero) {
  const Json* value = values.find(key);
  if (value == nullptr) return otherwise;
  const bool is_list = value->is_array() && (value->size() == 1 || value->size() == 3);
  ChannelNumbers out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Json& one = is_list ? (*value)[value->size() == 1 ? 0 : i] : *value;
    const bool fits = one.is_number() && std::isfinite(one.get<double>()) && (!above_zero || one > 0);
    if (!fits) ConfigValues::refuse(key, *value, above_zero ? "three numbers above 0" : "three numbers");
    out[i] = one.get<double>();
  }
  return out;
}

// "size" and "crop_size": {"height", "width"}, {"shortest_edge"}, a list of height and width, or one number.
struct ImageSide {
  int side = 0;
  bool is_shortest = false;
};

int square_side(const char* key, const Json& whole, int height, int width) {
  if (height != width) ConfigValues::refuse(key, whole, "the same height and width");
  return height;
}

std::optional<ImageSide> side_of(const ConfigValues& values, const char* key, bool number_is_square) {
  const Json* value = values.find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array() && value->size() == 2)
    return ImageSide{square_side(key, *value, side_in_pixels(key, (*value)[0]), side_in_pixels(key, (*value)[1])),
                     false};
  if (!value->is_object()) return ImageSide{side_in_pixels(key, *value), !number_is_square};
  const ConfigValues parts(*value);
  const Json* height = parts.find("height");
  const Json* width = parts.find("width");
  if (height != nullptr && width != nullptr)
    return ImageSide{square_side(key, *value, side_in_pixels(key, *height), side_in_pixels(key, *width)), false};
  const Json* shortest = parts.find("shortest_edge");
  if (shortest == nullptr || parts.find("longest_edge") != nullptr)
    ConfigValues::refuse(key, *value, "\"height\" and \"width\", or \"shortest_edge\"");
  return ImageSide{side_in_pixels(key, *shortest), true};
}

// The defaults of an image processor of transformers.
struct ImageProcessor {
  ImageSide size;
  int crop = 0;  // crop_size; 0: none
  bool crops = false;
  Interpolation resample = Interpolation::kBicubic;
  ChannelNumbers mean = kHalves, std = kHalves;
  bool normalises = true;
  bool number_is_square = false;  // default_to_square
  bool crop_by_share = false;     // ConvNextImageProcessor's rule
  bool bgr = false;
};

const std::map<std::string, ImageProcessor> kProcessors{
    {"ViT", {.size = {224, false}, .resample = Interpolation::kBilinear, .number_is_square = true}},
    {"DeiT", {.size = {256, false}, .crop = 224, .crops = true, .number_is_square = true}},
    {"Beit", {.size = {224, false}, .crop = 224, .number_is_square = true}},
    {"Bit", {.size = {224, true}, .crop = 224, .crops = true, .mean = kClipMean, .std = kClipStd}},
    {"CLIP", {.size = {224, true}, .crop = 224, .crops = true, .mean = kClipMean, .std = kClipStd}},
    {"Siglip", {.size = {224, false}}},
    {"Pvt", {.size = {224, false}, .mean = kDefaultMean, .std = kDefaultStd, .number_is_square = true}},
    {"ConvNext", {.size = {384, true}, .crop_by_share = true}},
    {"MobileNetV1", {.size = {256, true}, .crop = 224, .crops = true, .resample = Interpolation::kBilinear}},
    {"MobileNetV2", {.size = {256, true}, .crop = 224, .crops = true, .resample = Interpolation::kBilinear}},
    {"MobileViT", {.size = {224, true}, .crop = 256, .crops = true, .normalises = false, .bgr = true}},
};

// The image processors that transformers takes for models whose files name none.
const std::map<std::string, std::string> kProcessorsOfModels{
    {"beit", "Beit"},
    {"bit", "Bit"},
    {"convnext", "ConvNext"},
    {"convnextv2", "ConvNext"},
    {"deit", "DeiT"},
    {"dinov2", "Bit"},
    {"focalnet", "Bit"},
    {"dinov2_with_registers", "Bit"},
    {"hiera", "Bit"},
    {"mobilenet_v1", "MobileNetV1"},
    {"mobilevit", "MobileViT"},
    {"mobilenet_v2", "MobileNetV2"},
    {"mobilevitv2", "MobileViT"},
    {"regnet", "ConvNext"},
    {"resnet", "ConvNext"},
    {"swiftformer", "ViT"},
    {"swin", "ViT"},
    {"swinv2", "ViT"},
    {"vit", "ViT"},
};

const ImageProcessor& processor_of(const ConfigValues& values, const std::string& model_type) {
  std::string name = values.text("image_processor_type");
  if (name.empty()) name = values.text("feature_extractor_type");
  if (name.empty()) {
    const auto found = kProcessorsOfModels.find(model_type);
    if (found == kProcessorsOfModels.end()) {
      fail("image_processor_type: got none, expected the name of one, because model_type is '", printable(model_type),
           "'.");
    }
    return kProcessors.at(found->second);
  }
  std::string plain = name;
  for (const std::string ending : {"Fast", "Pil", "ImageProcessor", "FeatureExtractor"}) {
    if (plain.ends_with(ending)) plain.resize(plain.size() - ending.size());
  }
  const auto found = kProcessors.find(plain);
  if (found != kProcessors.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [own, unused] : kProcessors) known.push_back(own + "ImageProcessor");
  fail("image_processor_type: got '", printable(name), "', expected one of ", join(known, ", "), ".");
}

// The side to which crop_pct resizes, rounded down.
int resized_side(double side) {
  if (side < 1 || side > kLargestSide)
    fail("crop_pct: got a resize to ", side, " pixels, expected 1 to ", kLargestSide, ".");
  return static_cast<int>(side);
}

// Refuses numbers with which pixels or logits overflow.
void check_scale(const Preprocessing& preprocessing) {
  constexpr double kLargest = 1e6;
  for (std::size_t i = 0; i < preprocessing.std.size(); ++i) {
    const double mean = preprocessing.mean[i], deviation = preprocessing.std[i];
    if (std::abs(mean) <= kLargest && deviation <= kLargest && deviation >= 1 / kLargest) continue;
    fail("image mean and std: got ", mean, " and ", deviation, " for channel ", i,
         ", relative to pixels from 0 to 1, expected numbers up to ", kLargest, " and a std of at least ", 1 / kLargest,
         ".");
  }
}

// PIL's numbers of its filters.
Interpolation resample_of(const ConfigValues& values, Interpolation otherwise, std::vector<std::string>& notes) {
  const Json* value = values.find("resample");
  if (value == nullptr) return otherwise;
  if (*value == 2) return Interpolation::kBilinear;
  if (*value == 3) return Interpolation::kBicubic;
  if (*value != 1) ConfigValues::refuse("resample", *value, "2 (bilinear) or 3 (bicubic)");
  notes.emplace_back("images are resized by the bicubic filter; the preprocessing asks for Lanczos (resample 1)");
  return Interpolation::kBicubic;
}

}  // namespace

Preprocessing transformers_preprocessing(const Json& json, const std::string& model_type,
                                         std::vector<std::string>& notes) {
  const ConfigValues values(json);
  const ImageProcessor& defaults = processor_of(values, model_type);
  Preprocessing out;
  out.interpolation = resample_of(values, defaults.resample, notes);
  out.crop_rounds_down = true;
  out.bgr = values.flag("do_flip_channel_order", defaults.bgr);

  const ImageSide size = side_of(values, "size", defaults.number_is_square).value_or(defaults.size);
  const ImageSide crop = side_of(values, "crop_size", true).value_or(ImageSide{defaults.crop});
  const bool crops = values.flag("do_center_crop", defaults.crops) && crop.side > 0;
  out.crop = crops ? crop.side : size.side;
  if (values.flag("do_resize", true)) {
    out.resize = size.side;
    out.squash = !size.is_shortest;
    if (defaults.crop_by_share) {
      constexpr int kSquashedFrom = 384;
      out.squash = size.side >= kSquashedFrom;
      if (!out.squash) out.resize = resized_side(size.side / values.positive("crop_pct", 224.0 / 256));
    } else if (!out.squash && !crops) {
      notes.push_back(cat("images are cropped to ", out.crop, " x ", out.crop,
                          " pixels, because the preprocessing keeps their proportions and crops nothing"));
    }
  } else if (!crops) {
    out.crop = 0;
  }
  // (x · factor - mean) / std over bytes; ours divides them by 255.
  const double factor = values.flag("do_rescale", true) ? values.positive("rescale_factor", 1.0 / 255) * 255 : 255;
  const bool normalises = values.flag("do_normalize", defaults.normalises);
  out.mean = normalises ? channels_of(values, "image_mean", defaults.mean, false) : ChannelNumbers{0, 0, 0};
  out.std = normalises ? channels_of(values, "image_std", defaults.std, true) : ChannelNumbers{1, 1, 1};
  constexpr double kRounding = 1e-6;  // 0.00392156862745098
  if (std::abs(factor - 1) > kRounding) {
    for (double& mean : out.mean) mean /= factor;
    for (double& std : out.std) std /= factor;
  }
  check_scale(out);
  return out;
}

Preprocessing timm_config_preprocessing(const Json& json, std::vector<std::string>& notes) {
  const ConfigValues values(json);
  constexpr int kDefaultSide = 224;
  Preprocessing out{.crop = kDefaultSide, .interpolation = Interpolation::kBicubic};
  if (const Json* size = values.find("input_size")) {
    if (!size->is_array() || size->size() != 3 || (*size)[0] != 3)
      ConfigValues::refuse("input_size", *size, "[3, height, width]");
    out.crop = square_side("input_size", *size, side_in_pixels("input_size", (*size)[1]),
                           side_in_pixels("input_size", (*size)[2]));
  }
  out.resize = resized_side(out.crop / values.positive("crop_pct", 0.875));
  const std::string mode = values.text("crop_mode", "center");
  out.squash = mode == "squash";
  if (mode != "center" && mode != "squash")
    notes.push_back("images are cropped at the centre; the preprocessing asks for crop_mode '" + printable(mode) + "'");
  const std::string interpolation = values.text("interpolation", "bicubic");
  if (interpolation == "bilinear") {
    out.interpolation = Interpolation::kBilinear;
  } else if (interpolation != "bicubic") {
    notes.push_back("images are resized by the bicubic filter; the preprocessing asks for '" +
                    printable(interpolation) + "'");
  }
  out.mean = channels_of(values, "mean", kDefaultMean, false);
  out.std = channels_of(values, "std", kDefaultStd, true);
  check_scale(out);
  return out;
}

}  // namespace lorikeet
