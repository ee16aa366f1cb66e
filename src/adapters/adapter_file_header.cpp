#include "adapters/adapter_file_header.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lorikeet {
namespace {

// The keys of adapter_config.json with the values that a header leaves out.
Json default_config(PeftType type, const std::string& base_model) {
  AdapterConfig config;
  config.peft_type = type;
  config.base_model_name_or_path = base_model;
  if (type == PeftType::kHira) config.r = kPeftHiraRank;
  return adapter_config_json(config);
}

Json default_preprocessing(int resize) {
  Preprocessing out;
  out.resize = out.crop = resize;
  return preprocessing_json(out);
}

// The entries of `all` whose values `defaults` does not have.
Json without_defaults(const Json& all, const Json& defaults) {
  Json out = Json::object();
  for (const auto& [key, value] : all.items()) {
    const auto found = defaults.find(key);
    if (found == defaults.end() || *found != value) out[key] = value;
  }
  return out;
}

Json with_defaults(Json defaults, const Json& own) {
  for (const auto& [key, value] : own.items()) defaults[key] = value;
  return defaults;
}

bool is_empty(const Json& value) { return value.is_null() || (value.is_structured() && value.empty()); }

bool are_numbers_in_order(const std::vector<std::string>& classes) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] != std::to_string(i)) return false;
  }
  return !classes.empty();
}

// What opening the data again and showing the result need, of the record of training.
Json small_record(const Json& training) {
  Json out = Json::object();
  if (!training.is_object()) return out;
  for (const char* key : {"data", "seed", "validation_images", "shuffle", "bad_images", "split"}) {
    if (const auto found = training.find(key); found != training.end()) out[key] = *found;
  }
  for (const char* split : {"test", "validation"}) {
    const auto found = training.find(split);
    if (found == training.end() || !found->is_object()) continue;
    const auto accuracy = found->find("accuracy"), total = found->find("total");
    if (accuracy == found->end() || total == found->end() || !accuracy->is_number()) continue;
    constexpr double kDigits = 1e6;
    out[split] = {{"accuracy", std::round(accuracy->get<double>() * kDigits) / kDigits}, {"total", *total}};
  }
  return out;
}

const Json& object_at(const Json& header, const char* key, const std::string& where) {
  static const Json kNone = Json::object();
  const auto found = header.find(key);
  if (found == header.end()) return kNone;
  if (!found->is_object()) fail(where, ": ", key, ": got ", json_kind(*found), ", expected an object.");
  return *found;
}

PeftType type_of(const Json& config, const std::string& where) {
  const auto found = config.find("peft_type");
  if (found == config.end()) return PeftType::kLora;
  const auto& names = peft_type_names();
  const auto name =
      std::find(names.begin(), names.end(), found->is_string() ? found->get<std::string>() : std::string());
  if (name == names.end()) fail(where, ": config: peft_type: got an unknown method. Use a newer Lorikeet.");
  return static_cast<PeftType>(name - names.begin());
}

}  // namespace

Json small_header(const AdapterSpec& spec, const AdapterMetadata& metadata) {
  const Json all = metadata_json(spec, metadata);
  Json out{{"base", Json::array({metadata.base_model, metadata.base_weights})}};
  out["classes"] = are_numbers_in_order(metadata.classes) ? Json(metadata.classes.size()) : all["classes"];
  out["preprocessing"] = without_defaults(all["preprocessing"], default_preprocessing(metadata.preprocessing.resize));
  if (metadata.preprocessing.resize != 0) out["preprocessing"]["resize"] = metadata.preprocessing.resize;
  for (const char* key : {"output_classes", "output", "head"}) {
    if (const auto found = all.find(key); found != all.end() && !found->is_null()) out[key] = *found;
  }
  if (metadata.precision != Precision::kFloat32) out["precision"] = all["precision"];
  if (Json record = small_record(all["training"]); !record.empty()) out["training"] = std::move(record);

  AdapterConfig config = spec.config;
  std::vector<std::string> empty;
  for (const auto& [key, value] : config.other.items()) {
    if (is_empty(value)) empty.push_back(key);
  }
  for (const auto& key : empty) config.other.erase(key);
  const Json own = without_defaults(adapter_config_json(config), default_config(config.peft_type, metadata.base_model));
  if (config.peft_type != PeftType::kLora) out["config"]["peft_type"] = name_of(config.peft_type);
  for (const auto& [key, value] : own.items()) out["config"][key] = value;
  return out;
}

AdapterMetadata parse_small_header(const Json& header, const std::string& sha256, const std::string& where,
                                   AdapterSpec& spec) {
  if (!header.is_object()) fail(where, ": got ", json_kind(header), ", expected an object.");
  const auto base = header.find("base");
  if (base == header.end() || !base->is_array() || base->size() < 2)
    fail(where, ": base: got ", base == header.end() ? "none" : json_kind(*base),
         ", expected the model and the weights.");
  Json all{{"format", 1}, {"base", {{"model", (*base)[0]}, {"weights", (*base)[1]}, {"sha256", sha256}}}};

  constexpr std::int64_t kMostClasses = 1'000'000;
  const Json classes = header.value("classes", Json::array());
  all["classes"] = classes;
  if (classes.is_number_integer()) {
    const auto count = classes.is_number_unsigned() && classes.get<std::uint64_t>() > kMostClasses
                           ? kMostClasses + 1
                           : classes.get<std::int64_t>();
    if (count < 1 || count > kMostClasses)
      fail(where, ": classes: got ", classes.dump(), ", expected names, or their number up to ", kMostClasses, ".");
    all["classes"] = Json::array();
    for (std::int64_t i = 0; i < count; ++i) all["classes"].push_back(std::to_string(i));
  }
  const Json& preprocessing = object_at(header, "preprocessing", where);
  Json steps = with_defaults(default_preprocessing(0), preprocessing);
  if (!preprocessing.contains("crop")) steps["crop"] = steps["resize"];
  all["preprocessing"] = std::move(steps);
  all["precision"] = header.value("precision", Json("float32"));
  all["activation_ranges"] = Json::object();  // stored with the tensors
  for (const char* key : {"output_classes", "output", "head", "training"}) {
    if (const auto found = header.find(key); found != header.end()) all[key] = *found;
  }
  AdapterMetadata out = parse_metadata(all, where, spec);

  const Json& config = object_at(header, "config", where);
  spec.config = parse_adapter_config(with_defaults(default_config(type_of(config, where), out.base_model), config),
                                     where + ": config");
  return out;
}

// The text that typical headers are made of. What is most frequent is at the end, where it costs least.
std::string_view header_dictionary() {
  static constexpr std::string_view kDictionary =
      R"("T-shirt/top","Trouser","Pullover","Dress","Coat","Sandal","Shirt","Sneaker","Bag","Ankle boot"])"
      R"("airplane","automobile","bird","cat","deer","dog","frog","horse","ship","truck"])"
      R"("megatron_core":"megatron.core","task_type":"IMAGE_CLASSIFICATION","auto_mapping":{"base_model_class":")"
      R"("parent_library":"torchvision.models.transformers.models.timm/hf-hub:google/vit-base-patch16-224facebook/)"
      R"("activation":"relu"},"interpolation":"bicubic","mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5],)"
      R"("resize_mode":"squash","crop_rounding":"down","channels":"bgr","exif":"ignore","bad_images":"skip",)"
      R"("split":{"validation_share":0.1,"test_share":0.1,"split_seed":0,"images":1000,"fingerprint":")"
      R"("r":32,"hira_dropout":"boft_block_size":"boft_block_num":"boft_n_butterfly_factor":"boft_dropout":)"
      R"("oft_block_size":0,"block_share":true,"coft":true,"eps":6e-05,"num_cayley_neumann_terms":5,)"
      R"("use_cayley_neumann":false,"feedforward_modules":["decompose_both":true,"decompose_factor":)"
      R"("use_effective_conv2d":true,"layers_to_transform":["layers_pattern":["exclude_modules":["bias":"lora_only")"
      R"("lora_bias":true,"use_dora":true,"use_rslora":true,"init_lora_weights":"gaussian","lora_dropout":0.1,)"
      R"("projection_prng_key":0,"save_projection":true,"vera_dropout":"d_initial":0.1,"save_indices":true,)"
      R"("proj_seed":42,"init_theta_d_bound":0.02,"unilora_dropout":"n_frequency_pattern":{"init_weights":false,)"
      R"("peft_type":"LN_TUNING","peft_type":"LOHA","peft_type":"LOKR","peft_type":"IA3","peft_type":"HIRA",)"
      R"("peft_type":"OFT","peft_type":"BOFT","peft_type":"FOURIERFT","peft_type":"UNILORA","peft_type":"XLORA",)"
      R"("peft_type":"VERA","random_loc_seed":777,"scaling":150,"n_frequency":1000,"theta_d_length":256,)"
      R"("peft_type":"TINYLORA","peft_type":"LORA_XS",)"
      R"("encoder.layers.encoder_layer_11.self_attention.out_proj","encoder.layer.0.attention.attention.query",)"
      R"("key","value","dense","blocks.0.attn.qkv","blocks.0.attn.proj","blocks.0.mlp.fc1","blocks.0.mlp.fc2",)"
      R"("stages.0.blocks.0.conv_dw","conv_pw","conv_pwl","conv_stem","conv_head","bn2","classifier.1",)"
      R"("features.0.block.0","features.1.conv.0.0","fc1","fc2","norm1","norm2","head.fc","heads.head","classifier",)"
      R"("downsample.0","downsample.1","layer1.0.conv1","layer1.1.conv2","layer1.2.conv3","layer2.0.bn1",)"
      R"("layer2.1.conv1","layer2.2.conv2","layer2.3.conv3","layer3.0.conv1","layer3.1.conv2","layer3.2.conv3",)"
      R"("layer3.3.conv1","layer3.4.conv2","layer3.5.conv3","layer4.0.conv1","layer4.1.conv2","layer4.2.conv3",)"
      R"(".*\\.conv[12]",".*\\.[0-9]+\\.conv3",".*\\.2\\.conv3"],)"
      R"({"base":["efficientnet_lite0","timm/efficientnet_lite0.ra_in1k","mobilenet_v3_small.v1","vit_b_16.v1",)"
      R"({"base":["resnet18","resnet18.v1","resnet18.safetensors","resnet50.pth","/home/","/root/.cache/",)"
      R"({"base":["resnet50","resnet50.v2","resnet50.safetensors"],"classes":[)"
      R"("preprocessing":{"crop":224,"resize":256},)"
      R"("preprocessing":{"resize":224},"preprocessing":{"resize":32},"preprocessing":{"resize":96},)"
      R"("head":{"hidden":[512,256],"classes":10,"activation":"none"},"output_classes":2,"precision":"int8",)"
      R"("training":{"data":"fashion-mnist","data":"cifar10","data":"mnist","seed":0,"validation_images":5000,)"
      R"("validation":{"accuracy":0.9,"test":{"accuracy":0.99,"total":10000}},"config":{"modules_to_save":["fc"],)"
      R"("rank_pattern":{"alpha_pattern":{"r":4,"lora_alpha":16,"target_modules":["precision":"bfloat16",)"
      R"({"base":["resnet50","resnet50.v1"],"classes":10,"preprocessing":{"resize":28},"output_classes":10,"training":)"
      R"({"data":"mnist","seed":1,"test":{"accuracy":0.98,"total":10000}},"config":{"modules_to_save":["fc"],"r":)";
  return kDictionary;
}

}  // namespace lorikeet
