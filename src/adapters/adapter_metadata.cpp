#include "adapters/adapter_metadata.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "base/compute.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr int kFormat = 1;
constexpr std::int64_t kMaxPixels = 4096;

// Reads the fields of a JSON object from an untrusted file.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(where_, ": got ", json_kind(object), ", expected an object.");
  }

  const Json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) fail(where_, ": got no '", key, "', expected one.");
    return *found;
  }
  bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }

  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(where_, ": ", key, ": got ", json_kind(at(key)), ", expected a string.");
    return at(key).get<std::string>();
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const {
    return integer(at(key), key, least, most);
  }
  std::int64_t integer(const Json& value, const char* key, std::int64_t least, std::int64_t most) const {
    if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
        value.get<double>() > static_cast<double>(most)) {
      fail(where_, ": ", key, ": got ", json_kind(value), ", expected an integer from ", least, " to ", most, ".");
    }
    return value.get<std::int64_t>();
  }
  const Json& list(const char* key) const {
    if (!at(key).is_array()) fail(where_, ": ", key, ": got ", json_kind(at(key)), ", expected a list.");
    return at(key);
  }
  std::array<double, 3> three_numbers(const char* key) const {
    std::array<double, 3> out{};
    if (list(key).size() != 3) fail(where_, ": ", key, ": got ", counted(list(key).size(), "value"), ", expected 3.");
    for (std::size_t i = 0; i < 3; ++i) {
      const Json& value = list(key)[i];
      if (!value.is_number() || !std::isfinite(value.get<double>()))
        fail(where_, ": ", key, ": got ", json_kind(value), ", expected a finite number.");
      out[i] = value.get<double>();
    }
    return out;
  }
  std::string choice(const char* key, const std::vector<std::string>& choices) const {
    const std::string value = text(key);
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      fail(where_, ": ", key, ": got '", printable(value), "', expected one of ", join(choices, ", "), ".");
    }
    return value;
  }

 private:
  const Json& object_;
  std::string where_;
};

Preprocessing parse_preprocessing(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  Preprocessing out;
  out.resize = static_cast<int>(fields.integer("resize", 0, kMaxPixels));
  out.crop = static_cast<int>(fields.integer("crop", 0, kMaxPixels));
  out.interpolation = fields.choice("interpolation", {"bilinear", "bicubic"}) == "bicubic" ? Interpolation::kBicubic
                                                                                           : Interpolation::kBilinear;
  out.mean = fields.three_numbers("mean");
  out.std = fields.three_numbers("std");
  for (const double s : out.std) {
    if (!(s > 0)) fail(where, ": std: got ", s, ", expected numbers above 0.");
  }
  if (fields.has("resize_mode")) out.squash = fields.choice("resize_mode", {"shorter_side", "squash"}) == "squash";
  if (fields.has("crop_rounding")) out.crop_rounds_down = fields.choice("crop_rounding", {"even", "down"}) == "down";
  if (fields.has("exif"))
    out.exif = fields.choice("exif", {"apply", "ignore"}) == "ignore" ? Exif::kIgnore : Exif::kApply;
  if (fields.has("channels")) out.bgr = fields.choice("channels", {"rgb", "bgr"}) == "bgr";
  return out;
}

Head parse_head(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  Head head;
  if (fields.list("hidden").size() > 64)
    fail(where, ": hidden: got ", fields.list("hidden").size(), " layers, expected at most 64.");
  for (const auto& width : fields.list("hidden")) head.hidden.push_back(fields.integer(width, "hidden", 1, 1 << 20));
  head.classes = fields.integer("classes", 1, 1'000'000);
  head.activation = fields.choice("activation", {"none", "relu"}) == "relu" ? Activation::kRelu : Activation::kNone;
  return head;
}

ActivationRanges parse_ranges(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(where, ": got ", json_kind(json), ", expected an object of [least, greatest].");
  ActivationRanges out;
  for (const auto& [name, range] : json.items()) {
    const bool is_pair = range.is_array() && range.size() == 2 && range[0].is_number() && range[1].is_number();
    const std::pair<float, float> found =
        is_pair ? std::pair(range[0].get<float>(), range[1].get<float>()) : std::pair(1.0F, 0.0F);
    if (!std::isfinite(found.first) || !std::isfinite(found.second) || found.first > found.second) {
      fail(where, ": ", printable(name), ": got ", printable(range.dump(), 60), ", expected [least, greatest].");
    }
    out.emplace(name, found);
  }
  return out;
}

// The record without local folders.
Json shared_record(const Json& training) {
  Json out = training;
  if (!training.is_object()) return out;
  if (const auto data = out.find("data"); data != out.end() && data->is_string())
    *data = shared_data_name(data->get<std::string>());
  return out;
}

}  // namespace

AdapterMetadata parse_metadata(const Json& json, const std::string& where, AdapterSpec& spec) {
  const Fields fields(json, where);
  if (const auto format = fields.integer("format", 1, 1'000'000); format != kFormat) {
    fail(where, ": format: got ", format, ", expected ", kFormat, ". Use a newer Lorikeet.");
  }
  AdapterMetadata metadata;
  const Fields base(fields.at("base"), where + ": base");
  metadata.base_model = base.text("model");
  metadata.base_weights = base.text("weights");
  metadata.base_sha256 = base.text("sha256");
  if (metadata.base_sha256.size() != 64 ||
      metadata.base_sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fail(where, ": base: sha256: got '", printable(metadata.base_sha256), "', expected 64 hexadecimal digits.");
  }
  for (const auto& name : fields.list("classes")) {
    if (!name.is_string()) fail(where, ": classes: got ", json_kind(name), ", expected a name.");
    metadata.classes.push_back(name.get<std::string>());
  }
  metadata.preprocessing = parse_preprocessing(fields.at("preprocessing"), where + ": preprocessing");
  metadata.precision = *parse_precision(fields.choice("precision", {"float32", "bfloat16", "int8"}));
  if (metadata.precision == Precision::kInt8)
    metadata.activation_ranges = parse_ranges(fields.at("activation_ranges"), where + ": activation_ranges");
  if (fields.has("training")) metadata.training = fields.at("training");
  if (fields.has("head")) spec.head = parse_head(fields.at("head"), where + ": head");
  if (fields.has("output_classes")) spec.output_classes = fields.integer("output_classes", 1, 1'000'000);
  if (fields.has("output")) spec.small_output = parse_small_output(fields.at("output"), where + ": output");
  if (spec.small_output && !spec.output_classes) fail(where, ": output: got it without output_classes, expected both.");
  return metadata;
}

Json metadata_json(const AdapterSpec& spec, const AdapterMetadata& m) {
  Json out{{"format", kFormat},
           {"base", {{"model", m.base_model}, {"weights", m.base_weights}, {"sha256", m.base_sha256}}},
           {"classes", m.classes},
           {"preprocessing", preprocessing_json(m.preprocessing)},
           {"precision", name_of(m.precision)},
           {"output_classes", spec.output_classes ? Json(*spec.output_classes) : Json(nullptr)},
           {"head", nullptr},
           {"training", shared_record(m.training)}};
  if (!m.activation_ranges.empty()) {
    for (const auto& [name, range] : m.activation_ranges) out["activation_ranges"][name] = {range.first, range.second};
  }
  if (const auto& output = spec.small_output) out["output"] = small_output_json(*output);
  if (const auto& head = spec.head) {
    out["head"] = {{"hidden", head->hidden},
                   {"classes", head->classes},
                   {"activation", head->activation == Activation::kRelu ? "relu" : "none"}};
  }
  return out;
}

std::string shared_data_name(const std::string& data) {
  return (std::filesystem::path(data) / "").parent_path().filename().string();
}

Json preprocessing_json(const Preprocessing& p) {
  Json out{{"resize", p.resize},
           {"crop", p.crop},
           {"interpolation", p.interpolation == Interpolation::kBicubic ? "bicubic" : "bilinear"},
           {"antialias", true},
           {"mean", p.mean},
           {"std", p.std}};
  if (p.squash) out["resize_mode"] = "squash";
  if (p.crop_rounds_down) out["crop_rounding"] = "down";
  if (p.bgr) out["channels"] = "bgr";
  if (p.exif == Exif::kIgnore) out["exif"] = "ignore";
  return out;
}

}  // namespace lorikeet
