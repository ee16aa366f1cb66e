#include "train/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iomanip>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kernels/machine.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxRecipe = 1 << 20;
// YAML's aliases repeat a long text in three bytes: both limits together bound what a small file can become.
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxNames = 10'000;

// One key of a recipe. `read` throws UsageError with a message that begins with the key.
struct Field {
  std::string key;
  std::string meaning;
  std::function<void(Recipe&, const YAML::Node&)> read;
  std::function<void(const Recipe&, YAML::Emitter&)> write;
};

std::string shown(const YAML::Node& node) {
  if (node.IsScalar()) return cat("'", printable(node.Scalar(), 60), "'");
  return node.IsSequence() ? "a list" : node.IsMap() ? "a table" : "nothing";
}

std::string text(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return "";
  if (!node.IsScalar()) fail_usage(key, ": got ", shown(node), ", expected a word.");
  if (node.Scalar().size() > kMaxText)
    fail_usage(key, ": got ", node.Scalar().size(), " characters, expected at most ", kMaxText, ".");
  // yaml-cpp writes them as they are, and does not read them back: the run's recipe would be another one.
  std::string visible = node.Scalar();
  std::erase_if(visible, [](char c) { return c == '\n' || c == '\t'; });
  if (printable(visible, kMaxText) != visible)
    fail_usage(key, ": got ", shown(node), ", expected no control characters in it.");
  return node.Scalar();
}

double number(const std::string& key, const YAML::Node& node, double least, double most) {
  double value = 0;
  if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || !std::isfinite(value) || value < least ||
      value > most) {
    fail_usage(key, ": got ", shown(node), ", expected a number from ", least, " to ", most, ".");
  }
  return value;
}

std::int64_t whole(const std::string& key, const YAML::Node& node, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  if (!node.IsScalar() || !YAML::convert<std::int64_t>::decode(node, value) || value < least || value > most) {
    fail_usage(key, ": got ", shown(node), ", expected a whole number from ", least, " to ", most, ".");
  }
  return value;
}

bool truth(const std::string& key, const YAML::Node& node) {
  bool value = false;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, value))
    fail_usage(key, ": got ", shown(node), ", expected true or false.");
  return value;
}

std::vector<std::string> words(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return {};
  if (node.IsScalar()) return {text(key, node)};
  if (!node.IsSequence()) fail_usage(key, ": got ", shown(node), ", expected a list of names.");
  if (node.size() > kMaxNames)
    fail_usage(key, ": got a list of ", node.size(), " names, expected at most ", kMaxNames, ".");
  std::vector<std::string> out;
  for (const auto& item : node) out.push_back(text(key, item));
  return out;
}

PatternTable table(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) fail_usage(key, ": got ", shown(node), ", expected a table of numbers by pattern.");
  if (node.size() > kMaxNames)
    fail_usage(key, ": got a table of ", node.size(), " patterns, expected at most ", kMaxNames, ".");
  PatternTable out;
  for (const auto& item : node) out.emplace_back(text(key, item.first), number(key, item.second, -1e6, 1e6));
  return out;
}

// Shortest text that reads back as the same number.
std::string exact(double value) {
  for (int precision = 6; precision <= 17; ++precision) {
    std::ostringstream out;
    out.precision(precision);
    out << value;
    if (std::strtod(out.str().c_str(), nullptr) == value) return out.str();  // stod throws at subnormal numbers
  }
  return std::to_string(value);
}

// The kinds of field, each tied to a member of Recipe or AdapterConfig by `get`.
template <typename Get>
Field text_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = text(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << get(const_cast<Recipe&>(r)); }};
}

template <typename Get>
Field choice_field(std::string key, std::string meaning, std::vector<std::string> choices, Get get) {
  return {key, meaning + " (" + join(choices, ", ") + ")",
          [=](Recipe& r, const YAML::Node& n) {
            const std::string value = text(key, n);
            for (std::size_t i = 0; i < choices.size(); ++i) {
              if (choices[i] != value) continue;
              auto& member = get(r);
              if constexpr (std::is_same_v<std::remove_reference_t<decltype(member)>, std::string>) {
                member = value;
              } else {
                member = static_cast<std::remove_reference_t<decltype(member)>>(i);
              }
              return;
            }
            fail_usage(key, ": got ", shown(n), ", expected one of ", join(choices, ", "), ".");
          },
          [=](const Recipe& r, YAML::Emitter& out) {
            auto& member = get(const_cast<Recipe&>(r));
            if constexpr (std::is_same_v<std::remove_reference_t<decltype(member)>, std::string>) {
              out << member;
            } else {
              out << choices[static_cast<std::size_t>(member)];
            }
          }};
}

template <typename Get>
Field whole_field(std::string key, std::string meaning, std::int64_t least, std::int64_t most, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            get(r) = static_cast<std::remove_reference_t<decltype(get(r))>>(whole(key, n, least, most));
          },
          [=](const Recipe& r, YAML::Emitter& out) { out << static_cast<std::int64_t>(get(const_cast<Recipe&>(r))); }};
}

template <typename Get>
Field number_field(std::string key, std::string meaning, double least, double most, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = number(key, n, least, most); },
          [=](const Recipe& r, YAML::Emitter& out) { out << exact(get(const_cast<Recipe&>(r))); }};
}

template <typename Get>
Field truth_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = truth(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << get(const_cast<Recipe&>(r)); }};
}

template <typename Get>
Field words_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = words(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << YAML::Flow << get(const_cast<Recipe&>(r)); }};
}

template <typename Get>
Field whole_numbers_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            get(r).clear();
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() > kMaxNames)
              fail_usage(key, ": got ", shown(n), ", expected a list of at most ", kMaxNames, " whole numbers.");
            for (const auto& item : n) get(r).push_back(whole(key, item, 0, 1'000'000));
          },
          [=](const Recipe& r, YAML::Emitter& out) { out << YAML::Flow << get(const_cast<Recipe&>(r)); }};
}

template <typename Get>
Field pattern_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            if (n.IsSequence()) {
              get(r) = words(key, n);
            } else if (const std::string value = text(key, n); value.empty()) {
              get(r) = std::monostate{};
            } else {
              get(r) = value;
            }
          },
          [=](const Recipe& r, YAML::Emitter& out) {
            const ModulePattern& pattern = get(const_cast<Recipe&>(r));
            if (const auto* regex = std::get_if<std::string>(&pattern)) {
              out << YAML::SingleQuoted << *regex;
            } else if (const auto* list = std::get_if<std::vector<std::string>>(&pattern)) {
              out << YAML::Flow << *list;
            } else {
              out << YAML::Null;
            }
          }};
}

template <typename Get>
Field table_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = table(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) {
            out << YAML::Flow << YAML::BeginMap;
            for (const auto& [pattern, value] : get(const_cast<Recipe&>(r)))
              out << YAML::Key << pattern << YAML::Value << exact(value);
            out << YAML::EndMap;
          }};
}

Field head_field() {
  return {"head", "widths of the hidden Linear layers put behind the network; [] is one Linear alone; null none",
          [](Recipe& r, const YAML::Node& n) {
            r.head.reset();
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() > 64)
              fail_usage("head: got ", shown(n), ", expected a list of at most 64 widths, e.g. [512, 256], or null.");
            r.head.emplace();
            for (const auto& width : n) r.head->push_back(whole("head", width, 1, 1 << 20));
          },
          [](const Recipe& r, YAML::Emitter& out) {
            if (r.head) {
              out << YAML::Flow << *r.head;
            } else {
              out << YAML::Null;
            }
          }};
}

Field betas_field() {
  return {"betas", "AdamW's decay of its two averages",
          [](Recipe& r, const YAML::Node& n) {
            if (!n.IsSequence() || n.size() != 2)
              fail_usage("betas: got ", shown(n), ", expected two numbers, e.g. [0.9, 0.999].");
            r.betas = {number("betas", n[0], 0, 0.9999999), number("betas", n[1], 0, 0.9999999)};
          },
          [](const Recipe& r, YAML::Emitter& out) {
            out << YAML::Flow << YAML::BeginSeq << exact(r.betas[0]) << exact(r.betas[1]) << YAML::EndSeq;
          }};
}

Field resized_crop_field() {
  return {"random_resized_crop",
          "of a training image keep a random part, of this least and greatest share of its area, e.g. [0.35, 1]; null: "
          "all of it",
          [](Recipe& r, const YAML::Node& n) {
            auto& scale = r.augmentation.resized_crop;
            scale = {0, 0};
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() != 2)
              fail_usage("random_resized_crop: got ", shown(n),
                         ", expected two shares of the area, e.g. [0.35, 1], or null.");
            const double most = number("random_resized_crop", n[1], 1e-4, 1);
            scale = {number("random_resized_crop", n[0], 1e-4, most), most};
          },
          [](const Recipe& r, YAML::Emitter& out) {
            const auto& scale = r.augmentation.resized_crop;
            if (scale[1] > 0) {
              out << YAML::Flow << YAML::BeginSeq << exact(scale[0]) << exact(scale[1]) << YAML::EndSeq;
            } else {
              out << YAML::Null;
            }
          }};
}

Field reference_field() {
  return {"reference",
          "what someone else reports for this configuration: title, trainable, accuracy; for 'lorikeet compare'",
          [](Recipe& r, const YAML::Node& n) {
            r.reference = {};
            if (n.IsNull()) return;
            if (!n.IsMap())
              fail_usage("reference: got ", shown(n), ", expected a table with title, trainable and accuracy.");
            for (const auto& item : n) {
              const std::string key = text("reference", item.first);
              if (key == "title") {
                r.reference.title = text("reference.title", item.second);
              } else if (key == "trainable") {
                r.reference.trainable = text("reference.trainable", item.second);
              } else if (key == "accuracy") {
                if (!item.second.IsNull()) r.reference.accuracy = number("reference.accuracy", item.second, 0, 1);
              } else {
                fail_usage("reference: got the unknown key '", printable(key), "'.",
                           did_you_mean(key, {"title", "trainable", "accuracy"}));
              }
            }
          },
          [](const Recipe& r, YAML::Emitter& out) {
            out << YAML::BeginMap << YAML::Key << "title" << YAML::Value << r.reference.title << YAML::Key
                << "trainable" << YAML::Value << r.reference.trainable << YAML::Key << "accuracy" << YAML::Value;
            if (r.reference.accuracy) {
              out << exact(*r.reference.accuracy);
            } else {
              out << YAML::Null;
            }
            out << YAML::EndMap;
          }};
}

#define LORIKEET_MEMBER(member) \
  [](Recipe & r) -> auto& { return r.member; }

const std::vector<Field>& fields() {
  constexpr std::int64_t kMany = 1'000'000'000;
  static const std::vector<Field> kFields{
      text_field("model", "name of the base model; 'lorikeet models list' shows them", LORIKEET_MEMBER(model)),
      text_field("weights", "file with the base weights; empty: the official ones of that name",
                 LORIKEET_MEMBER(weights)),
      text_field("data", "name of a dataset, or a folder train|val|test/<class>/*.jpg|png", LORIKEET_MEMBER(data)),
      text_field("start_from", "adapter folder whose tensors training begins with", LORIKEET_MEMBER(start_from)),
      whole_field("image_size",
                  "side in pixels to which images are resized and cropped; 0: as the weights' own evaluation does", 0,
                  4096, LORIKEET_MEMBER(image_size)),
      choice_field("preprocess", "eval, or only normalise images that are already at size", {"eval", "normalise"},
                   LORIKEET_MEMBER(preprocess)),
      resized_crop_field(),
      whole_field("random_crop_padding",
                  "then pad by so many black pixels and crop anywhere to the size before, as RandomCrop does; 0: no", 0,
                  4096, LORIKEET_MEMBER(augmentation.crop_padding)),
      number_field("random_horizontal_flip", "then mirror training images with this probability", 0, 1,
                   LORIKEET_MEMBER(augmentation.horizontal_flip)),
      whole_field("train_limit", "use only so many training images, drawn by the seed; 0: all", 0, kMany,
                  LORIKEET_MEMBER(train_limit)),
      whole_field("test_limit", "use only the first so many test images; 0: all", 0, kMany,
                  LORIKEET_MEMBER(test_limit)),
      whole_field("validation", "training images held out for validation where the data has no val split", 0, kMany,
                  LORIKEET_MEMBER(validation)),

      choice_field(
          "peft_type",
          "the method, by PEFT's name; DoRA is LORA with use_dora, BitFit LORA with bias: all and no target_modules",
          peft_type_names(), LORIKEET_MEMBER(adapter.peft_type)),
      whole_field("r", "rank of LORA, LOHA, LOKR", 1, 1 << 16, LORIKEET_MEMBER(adapter.r)),
      number_field("lora_alpha", "their scale is lora_alpha / r; PEFT's 'alpha' for LOHA and LOKR", -1e6, 1e6,
                   LORIKEET_MEMBER(adapter.lora_alpha)),
      number_field("lora_dropout", "probability of dropping an input of LoRA", 0, 0.999,
                   LORIKEET_MEMBER(adapter.lora_dropout)),
      pattern_field(
          "target_modules",
          "where the adapter goes: a regular expression for the whole name, or a list of names; null: nowhere",
          LORIKEET_MEMBER(adapter.target_modules)),
      pattern_field("exclude_modules", "where it does not go, written likewise",
                    LORIKEET_MEMBER(adapter.exclude_modules)),
      words_field("modules_to_save", "modules that are retrained whole and saved in the adapter",
                  LORIKEET_MEMBER(adapter.modules_to_save)),
      table_field("rank_pattern", "other ranks by pattern, e.g. {'layer4.*': 8}",
                  LORIKEET_MEMBER(adapter.rank_pattern)),
      table_field("alpha_pattern", "other lora_alpha by pattern", LORIKEET_MEMBER(adapter.alpha_pattern)),
      whole_numbers_field("layers_to_transform", "of a list of target_modules, only those in layers of these numbers",
                          LORIKEET_MEMBER(adapter.layers_to_transform)),
      words_field("layers_pattern", "what stands before a layer's number, e.g. layer4",
                  LORIKEET_MEMBER(adapter.layers_pattern)),
      truth_field("use_rslora", "LoRA: scale by lora_alpha / sqrt(r)", LORIKEET_MEMBER(adapter.use_rslora)),
      truth_field("use_dora", "LoRA: learn each output channel's magnitude apart from its direction",
                  LORIKEET_MEMBER(adapter.use_dora)),
      truth_field("lora_bias", "LoRA: lora_B has a bias", LORIKEET_MEMBER(adapter.lora_bias)),
      choice_field("bias", "biases of the base that are learned too", trained_bias_names(),
                   LORIKEET_MEMBER(adapter.bias)),
      choice_field("init_lora_weights",
                   "how LoRA begins; after pissa and olora it is saved with twice the rank, over the unchanged base",
                   lora_start_names(), LORIKEET_MEMBER(adapter.init_lora_weights)),
      truth_field("use_effective_conv2d", "LOHA, LOKR: decompose convolutions as tensors, not as matrices",
                  LORIKEET_MEMBER(adapter.use_effective_conv2d)),
      truth_field("decompose_both", "LOKR: decompose the left factor too", LORIKEET_MEMBER(adapter.decompose_both)),
      whole_field("decompose_factor", "LOKR: size of the smaller factor; -1: near the square root", -1, 1 << 16,
                  LORIKEET_MEMBER(adapter.decompose_factor)),
      pattern_field("feedforward_modules", "IA3: of the targets, those whose input is scaled instead of their output",
                    LORIKEET_MEMBER(adapter.feedforward_modules)),
      truth_field("replace_output", "the network's last Linear gets one output for each class, and new weights",
                  LORIKEET_MEMBER(replace_output)),
      head_field(),
      choice_field("head_activation", "what stands between the head's layers", {"none", "relu"},
                   LORIKEET_MEMBER(head_activation)),

      whole_field("epochs", "passes over the training images", 1, 1'000'000, LORIKEET_MEMBER(epochs)),
      whole_field("max_steps", "stop after so many steps; 0: never", 0, kMany, LORIKEET_MEMBER(max_steps)),
      whole_field("batch_size", "images a step", 1, 65536, LORIKEET_MEMBER(batch_size)),
      choice_field("optimizer", "what takes the steps", {"adamw", "sgd"}, LORIKEET_MEMBER(optimizer)),
      number_field("learning_rate", "the highest that the schedule reaches", 0, 1e3, LORIKEET_MEMBER(learning_rate)),
      number_field("weight_decay", "decoupled for adamw, in the gradient for sgd, as in PyTorch", 0, 1e3,
                   LORIKEET_MEMBER(weight_decay)),
      betas_field(),
      number_field("eps", "AdamW's guard against division by zero", 1e-30, 1, LORIKEET_MEMBER(eps)),
      number_field("momentum", "SGD's", 0, 0.9999999, LORIKEET_MEMBER(momentum)),
      truth_field("nesterov", "SGD's", LORIKEET_MEMBER(nesterov)),
      choice_field("schedule", "course of the learning rate after the warm-up", {"constant", "cosine", "one_cycle"},
                   LORIKEET_MEMBER(schedule)),
      number_field("warmup", "share of all steps in which the learning rate rises; 0: none, but 0.3 for one_cycle", 0,
                   0.99, LORIKEET_MEMBER(warmup)),
      number_field("label_smoothing", "share of the target spread over all classes", 0, 0.999,
                   LORIKEET_MEMBER(label_smoothing)),
      number_field("clip_grad_norm", "largest norm of the gradient; 0: any", 0, 1e6, LORIKEET_MEMBER(clip_grad_norm)),
      whole_field("early_stop",
                  "stop after so many epochs without a better validation accuracy, and keep the best; 0: never", 0,
                  1'000'000, LORIKEET_MEMBER(early_stop)),
      {"seed", "of the start, the order and the random_… of images",
       [](Recipe& r, const YAML::Node& n) {
         r.seed = static_cast<std::uint64_t>(whole("seed", n, 0, std::numeric_limits<std::int64_t>::max()));
       },
       [](const Recipe& r, YAML::Emitter& out) { out << r.seed; }},
      truth_field("shuffle", "a new order each epoch", LORIKEET_MEMBER(shuffle)),

      choice_field("device", "where it runs", {"cpu", "cuda"}, LORIKEET_MEMBER(device)),
      choice_field("precision",
                   "of activations and frozen weights; what is learned stays float32; auto: bfloat16 where the "
                   "processor has it; int8: the "
                   "frozen prefix, and all of it once trained, by scales measured on training images",
                   {"float32", "bfloat16", "int8", "auto"}, LORIKEET_MEMBER(precision)),
      choice_field("engine", "fused, or plain: PyTorch's own operators in its own order, to follow it step by step",
                   {"fused", "plain"}, LORIKEET_MEMBER(engine)),
      whole_field("threads", "of the computation; 0: one for each core", 0, 1024, LORIKEET_MEMBER(threads)),
      number_field("cache_gib",
                   "memory, in GiB, in which the frozen prefix's outputs may be kept for later epochs; 0: none", 0,
                   1024, LORIKEET_MEMBER(cache_gib)),
      number_field(
          "cache_disk_gib",
          "where that does not do, a file of so many GiB in the run's folder may, if twice that is free; 0: none", 0,
          1024, LORIKEET_MEMBER(cache_disk_gib)),
      whole_field("cache_views",
                  "with random_…: draw so many views of each image, keep the prefix's outputs for them all, and begin "
                  "anew with the first; "
                  "0: new ones each epoch, and nothing kept",
                  0, 1'000'000, LORIKEET_MEMBER(cache_views)),
      reference_field(),
  };
  return kFields;
}

#undef LORIKEET_MEMBER

void set(Recipe& recipe, const std::string& key, const YAML::Node& value) {
  if (key == "run") {
    recipe.run = text(key, value);
    return;
  }
  std::vector<std::string> keys{"run"};
  for (const auto& field : fields()) {
    if (field.key == key) return field.read(recipe, value);
    keys.push_back(field.key);
  }
  const auto near = nearest(key, keys);
  fail_usage(printable(key), ": got an unknown key.",
             near.empty() ? " 'lorikeet train --help' lists them." : cat(" Did you mean '", near.front(), "'?"));
}

}  // namespace

void check_recipe(Recipe& r) {
  if (r.data.empty()) fail_usage("data: got nothing, expected the name of a dataset or a folder, e.g. data=mnist.");
  check_adapter_config(r.adapter, "recipe");
  if (r.precision == "int8" && (r.device != "cpu" || r.engine == EngineKind::kPlain)) {
    fail_usage("precision: got int8 with ", r.device != "cpu" ? "device: " + r.device : "engine: plain",
               ", expected device: cpu and engine: fused.");
  }
  if (r.precision == "auto") r.precision = r.device == "cuda" || examine_machine().bfloat16 ? "bfloat16" : "float32";
  if (r.schedule == ScheduleKind::kOneCycle && r.warmup == 0) r.warmup = 0.3;  // OneCycleLR's pct_start
  const auto& saved = r.adapter.modules_to_save;
  if (!r.adapter.has_targets() && saved.empty() && !r.head && r.adapter.bias == TrainedBias::kNone) {
    fail_usage("recipe: got neither target_modules, modules_to_save, bias nor head, expected something to learn.");
  }
  if (r.image_size > 0 && r.preprocess == "normalise") {
    fail_usage("image_size: got ", r.image_size, " together with preprocess=normalise, expected one of the two.");
  }
  if (r.augmentation.resized_crop[1] > 0 && r.preprocess == "normalise") {
    fail_usage(
        "random_resized_crop: got it together with preprocess=normalise, expected preprocess=eval, which has a size to "
        "resize to.");
  }
  if (r.cache_views > 0 && !r.augmentation.any()) {
    fail_usage(
        "cache_views: got ", r.cache_views,
        " without random_resized_crop, random_crop_padding or random_horizontal_flip, expected one of them, or 0.");
  }
}

Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides) {
  Recipe recipe;
  try {
    // YAML::Load would take the first of several documents and say nothing of the others.
    const std::vector<YAML::Node> documents = YAML::LoadAll(read_file(path, kMaxRecipe));
    if (documents.size() > 1)
      fail(path.string(), ": got ", documents.size(),
           " YAML documents, expected one recipe. Remove the line '---' between them.");
    const YAML::Node root = documents.empty() ? YAML::Node() : documents.front();
    if (!root.IsMap()) fail(path.string(), ": got ", shown(root), ", expected a recipe: lines of 'key: value'.");
    std::vector<std::string> seen;
    for (const auto& item : root) {
      const std::string key = text("recipe", item.first);
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail_usage(key, ": got it twice, expected each key once.");
      seen.push_back(key);
      set(recipe, key, item.second);
    }
  } catch (const UsageError& error) {
    throw Error(cat(path.string(), ": ", error.what()));
  } catch (const YAML::Exception& error) {
    fail(path.string(), ": line ", error.mark.line + 1, ": got broken YAML: ", printable(error.msg), ".");
  }
  for (const auto& override : overrides) {
    const std::size_t equals = override.find('=');
    if (equals == 0 || equals == std::string::npos)
      fail_usage("'", printable(override), "': got no key=value, expected e.g. epochs=3.");
    try {
      set(recipe, override.substr(0, equals), YAML::Load(override.substr(equals + 1)));
    } catch (const YAML::Exception& error) {
      fail_usage(printable(override), ": got a value that is no YAML: ", printable(error.msg), ".");
    }
  }
  check_recipe(recipe);
  return recipe;
}

std::string recipe_yaml(const Recipe& recipe) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const auto& field : fields()) {
    out << YAML::Key << field.key << YAML::Value;
    field.write(recipe, out);
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string recipe_help() {
  const Recipe defaults;
  std::ostringstream out;
  for (const auto& field : fields()) {
    YAML::Emitter value;
    if (field.key != "reference") field.write(defaults, value);  // a table would take several lines
    out << "  " << std::left << std::setw(22) << field.key << ' ' << std::setw(12)
        << (value.size() > 0 ? value.c_str() : "") << ' ' << field.meaning << '\n';
  }
  return std::move(out).str();
}

AdapterSpec adapter_spec(const Recipe& recipe, std::int64_t classes) {
  AdapterSpec spec{recipe.adapter, std::nullopt, std::nullopt};
  if (recipe.replace_output) spec.output_classes = classes;
  if (recipe.head) spec.head = Head{*recipe.head, classes, recipe.head_activation};
  return spec;
}

std::int64_t view_count(const Recipe& recipe) { return recipe.augmentation.any() ? recipe.cache_views : 1; }

Preprocessing recipe_preprocessing(const Recipe& recipe, const Preprocessing& weights) {
  Preprocessing out = weights;
  if (recipe.image_size > 0) out.resize = out.crop = recipe.image_size;
  if (recipe.preprocess == "normalise") out.resize = out.crop = 0;
  return out;
}

}  // namespace lorikeet
