// The keys of a recipe.
#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/compute.h"
#include "train/metrics.h"
#include "train/recipe_field.h"

namespace lorikeet::fields {
namespace {

constexpr std::size_t kMostSearchedValues = 64;

Json pair_schema(Json item) {
  Json out = list_schema(std::move(item), 2);
  out["minItems"] = 2;
  return out;
}

// {projected: 64, basis: output} …
SmallOutput read_small_output(const YAML::Node& node) {
  Json json = Json::object();
  for (const auto& entry : node) {
    const std::string key = text("head", entry.first);
    json[key] = key == "basis" ? Json(text("head: basis", entry.second))
                               : Json(integer("head: " + key, entry.second, {0, 1LL << 53}));
  }
  return small_output_options(json, "head");
}

Json small_output_schema() {
  const Json size = integer_schema({1, 1 << 24}), seed = integer_schema({0, 1LL << 53});
  const auto form = [](Json properties, const char* key) {
    return Json{{"type", "object"},
                {"properties", std::move(properties)},
                {"required", {key}},
                {"additionalProperties", false}};
  };
  return any_of({form({{"rank", size}}, "rank"),
                 form({{"projected", size}, {"basis", {{"enum", small_output_bases()}}}, {"seed", seed}}, "projected"),
                 form({{"tied", size}, {"seed", seed}}, "tied")});
}

// The methods have different defaults, which null means.
Field save_projection_field() {
  return {
      "save_projection",
      "VERA, TINYLORA: save the fixed random matrices, which the seed gives again; null: TINYLORA does, as in PEFT, "
      "and VERA does not",
      [](Recipe& r, const YAML::Node& n) {
        AdapterConfig& config = r.adapter.config;
        config.vera.save_projection = n.IsNull() ? VeraOptions().save_projection : boolean("save_projection", n);
        config.tinylora.save_projection = n.IsNull() ? TinyLoraOptions().save_projection : config.vera.save_projection;
      },
      [](const Recipe& r, YAML::Emitter& out) {
        const AdapterConfig& config = r.adapter.config;
        const bool vera = config.vera.save_projection, tiny = config.tinylora.save_projection;
        if (vera == VeraOptions().save_projection && tiny == TinyLoraOptions().save_projection) {
          out << YAML::Null;
        } else {
          out << (config.peft_type == PeftType::kTinyLora ? tiny : vera);
        }
      },
      any_of({{{"type", "boolean"}}, kNullSchema})};
}

Field head_field() {
  return {
      "head",
      "new: replace the network's last Linear with a new one and train it; {rank: r}, {projected: d, basis: random or "
      "output} or {tied: n}: the same with fewer learned numbers; widths of hidden Linear layers: add a head after the "
      "output; []: a single Linear; null: neither",
      [](Recipe& r, const YAML::Node& n) {
        auto& head = r.adapter.head;
        head.reset();
        r.adapter.small_output.reset();
        if (n.IsMap()) r.adapter.small_output = read_small_output(n);
        r.adapter.new_head = n.IsMap() || (n.IsScalar() && n.Scalar() == "new");
        if (n.IsNull() || r.adapter.new_head) return;
        if (!n.IsSequence() || n.size() > ranges::kHeadLayers) {
          fail_usage(
              "head: got ", shown(n),
              ", expected a list of at most 64 widths, e.g. [512, 256], new, or null. A small output is a table, "
              "e.g. {projected: 64}.");
        }
        head.emplace();
        for (const auto& width : n) head->push_back(integer("head", width, ranges::kHeadWidth));
      },
      [](const Recipe& r, YAML::Emitter& out) {
        if (r.adapter.small_output) {
          out << YAML::Flow << YAML::BeginMap;
          const Json small = small_output_json(*r.adapter.small_output);
          for (const auto& [key, value] : small.items()) {
            out << YAML::Key << key << YAML::Value;
            if (value.is_string()) {
              out << value.get<std::string>();
            } else {
              out << value.get<std::int64_t>();
            }
          }
          out << YAML::EndMap;
        } else if (r.adapter.new_head) {
          out << "new";
        } else if (r.adapter.head) {
          out << YAML::Flow << *r.adapter.head;
        } else {
          out << YAML::Null;
        }
      },
      any_of({kNullSchema,
              {{"enum", {"new"}}},
              small_output_schema(),
              list_schema(integer_schema(ranges::kHeadWidth), ranges::kHeadLayers)})};
}

Field tune_field() {
  return {"tune",
          cat("what is trained, in words for every model (", join(tuning_names(), ", "),
              "): only a new output; an adapter on target_modules, by default auto; the normalisations or the biases, "
              "all or those of target_modules; the last stage or quarter; everything. All with a new output. null: "
              "target_modules and modules_to_save"),
          [](Recipe& r, const YAML::Node& n) {
            r.adapter.tune.reset();
            if (n.IsNull()) return;
            const auto& names = tuning_names();
            const auto found = std::find(names.begin(), names.end(), text("tune", n));
            if (found == names.end())
              fail_usage("tune: got ", shown(n), ", expected one of ", join(names, ", "), ", or null.");
            r.adapter.tune = static_cast<Tuning>(found - names.begin());
          },
          [](const Recipe& r, YAML::Emitter& out) {
            if (r.adapter.tune) {
              out << name_of(*r.adapter.tune);
            } else {
              out << YAML::Null;
            }
          },
          any_of({kNullSchema, {{"enum", tuning_names()}}})};
}

Field betas_field() {
  return {"betas", "AdamW's decay rates of the two moments",
          [](Recipe& r, const YAML::Node& n) {
            if (!n.IsSequence() || n.size() != 2)
              fail_usage("betas: got ", shown(n), ", expected two numbers, e.g. [0.9, 0.999].");
            r.optimizer.betas = {number("betas", n[0], ranges::kDecay), number("betas", n[1], ranges::kDecay)};
          },
          [](const Recipe& r, YAML::Emitter& out) {
            out << YAML::Flow << YAML::BeginSeq << exact(r.optimizer.betas[0]) << exact(r.optimizer.betas[1])
                << YAML::EndSeq;
          },
          pair_schema(number_schema(ranges::kDecay))};
}

Field resized_crop_field() {
  return {
      "random_resized_crop",
      "of training images take a random crop with this range of the area, as RandomResizedCrop's scale, e.g. [0.35, "
      "1]; null: no",
      [](Recipe& r, const YAML::Node& n) {
        auto& scale = r.data.augmentation.resized_crop;
        scale = {0, 0};
        if (n.IsNull()) return;
        if (!n.IsSequence() || n.size() != 2)
          fail_usage("random_resized_crop: got ", shown(n),
                     ", expected two fractions of the area, e.g. [0.35, 1], or null.");
        const double most = number("random_resized_crop", n[1], ranges::kShareOfArea);
        scale = {number("random_resized_crop", n[0], {ranges::kShareOfArea.least, most}), most};
      },
      [](const Recipe& r, YAML::Emitter& out) {
        const auto& scale = r.data.augmentation.resized_crop;
        if (scale[1] > 0) {
          out << YAML::Flow << YAML::BeginSeq << exact(scale[0]) << exact(scale[1]) << YAML::EndSeq;
        } else {
          out << YAML::Null;
        }
      },
      any_of({kNullSchema, pair_schema(number_schema(ranges::kShareOfArea))})};
}

Field class_weights_field() {
  return {"class_weights",
          "weights of the classes in the training loss: balanced, for weights by 1 / images of the class, or a list in "
          "the order of the classes; null: none",
          [](Recipe& r, const YAML::Node& n) {
            auto& weights = r.loop.class_weights;
            weights = {};
            if (n.IsNull()) return;
            if (n.IsScalar() && n.Scalar() == "balanced") {
              weights.balanced = true;
              return;
            }
            if (!n.IsSequence() || n.size() == 0 || n.size() > kMaxNames) {
              fail_usage("class_weights: got ", shown(n), ", expected balanced, a list of 1 to ", kMaxNames,
                         " numbers, e.g. [1, 2.5], or null.");
            }
            for (const auto& weight : n)
              weights.values.push_back(number("class_weights", weight, ranges::kClassWeight));
          },
          [](const Recipe& r, YAML::Emitter& out) {
            const auto& weights = r.loop.class_weights;
            if (weights.balanced) {
              out << "balanced";
            } else if (weights.values.empty()) {
              out << YAML::Null;
            } else {
              out << YAML::Flow << YAML::BeginSeq;
              for (const double weight : weights.values) out << exact(weight);
              out << YAML::EndSeq;
            }
          },
          any_of({kNullSchema, {{"enum", {"balanced"}}}, list_schema(number_schema(ranges::kClassWeight), kMaxNames)})};
}

Field rand_augment_field() {
  return {"rand_augment",
          "RandAugment: number of operations per image and their magnitude from 0 to 30, e.g. [2, 9]; null: no",
          [](Recipe& r, const YAML::Node& n) {
            auto& value = r.data.augmentation.rand_augment;
            value = {0, 0};
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() != 2)
              fail_usage("rand_augment: got ", shown(n), ", expected num_ops and magnitude, e.g. [2, 9], or null.");
            value = {static_cast<int>(integer("rand_augment", n[0], ranges::kAugmentOperations)),
                     static_cast<int>(integer("rand_augment", n[1], ranges::kAugmentMagnitude))};
          },
          [](const Recipe& r, YAML::Emitter& out) {
            const auto& value = r.data.augmentation.rand_augment;
            if (value[0] > 0) {
              out << YAML::Flow << YAML::BeginSeq << value[0] << value[1] << YAML::EndSeq;
            } else {
              out << YAML::Null;
            }
          },
          any_of({kNullSchema, pair_schema(integer_schema(ranges::kAugmentMagnitude))})};
}

Field color_jitter_field() {
  Json list = list_schema(number_schema(ranges::kColorJitter), 4);
  list["minItems"] = 4;
  return {"color_jitter",
          "ColorJitter: brightness, contrast, saturation, and hue up to 0.5, e.g. [0.4, 0.4, 0.4, 0.1]; null: no",
          [](Recipe& r, const YAML::Node& n) {
            auto& value = r.data.augmentation.color_jitter;
            value = {0, 0, 0, 0};
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() != 4) {
              fail_usage("color_jitter: got ", shown(n),
                         ", expected brightness, contrast, saturation and hue, e.g. [0.4, 0.4, 0.4, 0.1], or null.");
            }
            for (std::size_t i = 0; i < 4; ++i)
              value[i] = number("color_jitter", n[i], i < 3 ? ranges::kColorJitter : ranges::kHueJitter);
          },
          [](const Recipe& r, YAML::Emitter& out) {
            if (!r.data.augmentation.has_color_jitter()) {
              out << YAML::Null;
              return;
            }
            out << YAML::Flow << YAML::BeginSeq;
            for (const double value : r.data.augmentation.color_jitter) out << exact(value);
            out << YAML::EndSeq;
          },
          any_of({kNullSchema, std::move(list)})};
}

double seconds_of(const YAML::Node& node) {
  const auto seconds = parse_seconds(node.IsScalar() ? node.Scalar() : std::string());
  if (!seconds || !ranges::kSeconds.contains(*seconds))
    fail_usage("time: got ", shown(node), ", expected a time of at most 1e6 seconds, e.g. 90s, 10m or 1h30m, or null.");
  return *seconds;
}

Field time_field() {
  return {
      "time",
      "train for this long, e.g. 10m, from loading to the final evaluation: the number of steps and the schedule "
      "follow from the measured speed; epochs, if not 1, and max_steps stay upper limits; null: no limit",
      [](Recipe& r, const YAML::Node& n) { r.loop.seconds = n.IsNull() ? 0 : seconds_of(n); },
      [](const Recipe& r, YAML::Emitter& out) {
        if (r.loop.seconds > 0) {
          out << exact(r.loop.seconds) + "s";
        } else {
          out << YAML::Null;
        }
      },
      any_of({kNullSchema, number_schema(ranges::kSeconds), {{"type", "string"}, {"pattern", "^([0-9.]+[smh])+$"}}})};
}

Field reference_field() {
  return {"reference", "published results for this configuration, for 'lorikeet compare': title, trainable, accuracy",
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
                if (!item.second.IsNull())
                  r.reference.accuracy = number("reference.accuracy", item.second, ranges::kProbability);
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
          },
          any_of({kNullSchema,
                  {{"type", "object"},
                   {"properties",
                    {{"title", kTextSchema},
                     {"trainable", kTextSchema},
                     {"accuracy", any_of({kNullSchema, number_schema(ranges::kProbability)})}}},
                   {"additionalProperties", false}}})};
}

// Values of lists and tables in one line, as in an override.
std::string flow_text(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetMapFormat(YAML::Flow);
  out.SetSeqFormat(YAML::Flow);
  out << node;
  return out.c_str();
}

Field search_field() {
  return {
      "search",
      cat("values that 'lorikeet search' tries instead of its own, by key, e.g. {r: [2, 4]}; keys: ",
          join(searchable_keys(), ", "), "; peft_type can be ", kHeadOnly, ": no adapter"),
      [](Recipe& r, const YAML::Node& n) {
        r.search.clear();
        if (n.IsNull()) return;
        if (!n.IsMap()) fail_usage("search: got ", shown(n), ", expected lists of values by key, e.g. {r: [2, 4]}.");
        for (const auto& item : n) {
          const std::string key = text("search", item.first);
          const auto& keys = searchable_keys();
          if (std::find(keys.begin(), keys.end(), key) == keys.end())
            fail_usage("search: got the key '", printable(key), "', expected one of ", join(keys, ", "), ".");
          if (!item.second.IsSequence() || item.second.size() == 0 || item.second.size() > kMostSearchedValues)
            fail_usage("search: ", key, ": got ", shown(item.second), ", expected a list of 1 to ", kMostSearchedValues,
                       " values",
                       item.second.IsScalar() ? cat(", e.g. ", key, ": [", printable(flow_text(item.second)), "]") : "",
                       ".");
          const auto field = std::find_if(all().begin(), all().end(), [&](const Field& f) { return f.key == key; });
          SearchedKey searched{key, {}};
          for (const auto& value : item.second) {
            const bool is_head_only = key == "peft_type" && value.IsScalar() && value.Scalar() == kHeadOnly;
            if (Recipe scratch; !is_head_only) field->read(scratch, value);
            searched.values.push_back(flow_text(value));
          }
          r.search.push_back(std::move(searched));
        }
      },
      [](const Recipe& r, YAML::Emitter& out) {
        out << YAML::Flow << YAML::BeginMap;
        for (const auto& [key, values] : r.search) {
          out << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
          for (const std::string& value : values) out << YAML::Load(value);
          out << YAML::EndSeq;
        }
        out << YAML::EndMap;
      },
      any_of({kNullSchema,
              {{"type", "object"},
               {"propertyNames", {{"enum", searchable_keys()}}},
               {"additionalProperties", {{"type", "array"}, {"minItems", 1}, {"maxItems", kMostSearchedValues}}}}})};
}

}  // namespace

#define LORIKEET_MEMBER(member) ([](Recipe & r) -> auto& { return r.member; })

const std::vector<Field>& all() {
  static const std::vector<Field> kFields{
      string_field("model",
                   "base model: a name ('lorikeet models list' shows them), a folder that transformers or timm "
                   "saved, or ORG/NAME of the Hub",
                   LORIKEET_MEMBER(model)),
      string_field("weights", "file with the base weights; empty: the official ones of that name",
                   LORIKEET_MEMBER(weights)),
      string_field("data",
                   "name of a dataset; a folder train|val|test/<class>/*.jpg or <class>/*.jpg, or with MNIST's or "
                   "CIFAR's files; a manifest .csv, .tsv or .jsonl; or tar shards, e.g. 'a-{000..003}.tar'",
                   LORIKEET_MEMBER(data.name)),
      string_field("start_from", "folder or file of an adapter whose tensors training starts from",
                   LORIKEET_MEMBER(adapter.start_from)),
      integer_field(
          "image_size",
          "height and width in pixels to which images are resized and cropped, at least 16; 0: as in the weights' own "
          "evaluation",
          ranges::kImageSize, LORIKEET_MEMBER(data.image_size)),
      choice_field("preprocess", "eval, or only normalise images that already have the right size",
                   {"eval", "normalise"}, LORIKEET_MEMBER(data.preprocess)),
      choice_field("exif", "the EXIF orientation of images: applied, or ignored as by torchvision's ImageFolder",
                   {"apply", "ignore"}, LORIKEET_MEMBER(data.exif)),
      choice_field("bad_images",
                   "images that cannot be read: stop before training and name them all, or skip them, with a note",
                   {"stop", "skip"}, LORIKEET_MEMBER(data.bad_images)),
      resized_crop_field(),
      integer_field(
          "random_crop_padding",
          "pad with this many black pixels and crop a random region of the original size, as RandomCrop does; "
          "0: no",
          ranges::kImageSize, LORIKEET_MEMBER(data.augmentation.crop_padding)),
      number_field("random_horizontal_flip", "mirror training images with this probability", ranges::kProbability,
                   LORIKEET_MEMBER(data.augmentation.horizontal_flip)),
      rand_augment_field(),
      boolean_field("trivial_augment_wide", "TrivialAugmentWide: one random operation per image",
                    LORIKEET_MEMBER(data.augmentation.trivial_augment_wide)),
      color_jitter_field(),
      number_field("random_erasing", "RandomErasing with this probability: a rectangle gets the mean colour",
                   ranges::kProbability, LORIKEET_MEMBER(data.augmentation.random_erasing)),
      number_field("mixup_alpha",
                   "MixUp: mix the images and labels of a batch with weights of Beta(alpha, alpha), e.g. 0.2; 0: no",
                   ranges::kMixingAlpha, LORIKEET_MEMBER(data.augmentation.mixup_alpha)),
      number_field("cutmix_alpha",
                   "CutMix: put a rectangle of another image of the batch in each, e.g. 1; 0: no; with mixup_alpha, "
                   "each batch draws one of the two",
                   ranges::kMixingAlpha, LORIKEET_MEMBER(data.augmentation.cutmix_alpha)),
      integer_field("train_limit", "use only this many training images, drawn by the seed; 0: all", ranges::kCount,
                    LORIKEET_MEMBER(data.train_limit)),
      integer_field("test_limit",
                    "use only this many test images, of each class in proportion, the same in every run; 0: all",
                    ranges::kCount, LORIKEET_MEMBER(data.test_limit)),
      integer_field("validation", "training images held out for validation where the data has no val split",
                    ranges::kCount, LORIKEET_MEMBER(data.validation)),
      number_field("validation_share", "of data without any splits: share of each class held out for validation",
                   ranges::kHeldOutShare, LORIKEET_MEMBER(data.validation_share)),
      number_field("test_share", "of data without any splits: share of each class held out for testing",
                   ranges::kHeldOutShare, LORIKEET_MEMBER(data.test_share)),
      {"split_seed", "seed that draws these images; other than seed, so that runs are tested on the same images",
       [](Recipe& r, const YAML::Node& n) {
         r.data.split_seed = static_cast<std::uint64_t>(integer("split_seed", n, ranges::kSeed));
       },
       [](const Recipe& r, YAML::Emitter& out) { out << r.data.split_seed; }, integer_schema(ranges::kSeed)},

      tune_field(),
      choice_field(
          "peft_type",
          "the method, by PEFT's name; DoRA is LORA with use_dora, BitFit LORA with bias: all and no target_modules",
          peft_type_names(), LORIKEET_MEMBER(adapter.config.peft_type)),
      integer_field("r",
                    "rank of LORA, LOHA, LOKR, HIRA, VERA, UNILORA, LORA_XS, TINYLORA; OFT: number of blocks if "
                    "oft_block_size is 0",
                    ranges::kRank, LORIKEET_MEMBER(adapter.config.r)),
      number_field("lora_alpha",
                   "the scale of LORA, LOHA, LOKR, LORA_XS is lora_alpha / r; PEFT's 'alpha' for LOHA and LOKR",
                   {-1e6, 1e6}, LORIKEET_MEMBER(adapter.config.lora_alpha)),
      number_field("lora_dropout", "probability of dropping an input of LORA or LORA_XS", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.lora_dropout)),
      pattern_field(
          "target_modules",
          "modules to adapt: a regular expression for the full name, a list of names, all-linear, all-conv, or auto: a "
          "choice for the network, which is printed; null: none",
          LORIKEET_MEMBER(adapter.config.target_modules)),
      pattern_field("exclude_modules", "modules that target_modules does not mean, in the same form",
                    LORIKEET_MEMBER(adapter.config.exclude_modules)),
      strings_field("modules_to_save", "modules that are trained in full and saved with the adapter",
                    LORIKEET_MEMBER(adapter.config.modules_to_save)),
      table_field("rank_pattern",
                  "values of r, by pattern for the end of a name, e.g. {'layer4.*': 8}; the first match applies",
                  LORIKEET_MEMBER(adapter.config.rank_pattern)),
      table_field("alpha_pattern", "other lora_alpha by pattern, likewise",
                  LORIKEET_MEMBER(adapter.config.alpha_pattern)),
      integers_field("layers_to_transform", "with a list of target_modules: only the layers with these numbers",
                     LORIKEET_MEMBER(adapter.config.layers_to_transform)),
      strings_field("layers_pattern", "the part of the name before a layer's number: layer4 in layer4.1.conv1",
                    LORIKEET_MEMBER(adapter.config.layers_pattern)),
      boolean_field("use_rslora", "LoRA: scale by lora_alpha / sqrt(r)", LORIKEET_MEMBER(adapter.config.use_rslora)),
      boolean_field("use_dora", "DoRA: train each output channel's magnitude and direction separately",
                    LORIKEET_MEMBER(adapter.config.use_dora)),
      boolean_field("lora_bias", "LoRA: lora_B has a bias", LORIKEET_MEMBER(adapter.config.lora_bias)),
      choice_field("bias", "biases of the base that are trained too", trained_bias_names(),
                   LORIKEET_MEMBER(adapter.config.bias)),
      choice_field(
          "init_lora_weights",
          "LoRA's initial values; after pissa and olora it is saved with twice the rank, over the unchanged base",
          lora_start_names(), LORIKEET_MEMBER(adapter.config.init_lora_weights)),
      boolean_field("use_effective_conv2d", "LOHA, LOKR: decompose convolutions as tensors, not as matrices",
                    LORIKEET_MEMBER(adapter.config.use_effective_conv2d)),
      boolean_field("decompose_both", "LOKR: decompose the left factor too",
                    LORIKEET_MEMBER(adapter.config.decompose_both)),
      integer_field("decompose_factor", "LOKR: size of the smaller factor; -1: near the square root", {-1, 1 << 16},
                    LORIKEET_MEMBER(adapter.config.decompose_factor)),
      pattern_field("feedforward_modules", "IA3: of the targets, those whose input is scaled instead of their output",
                    LORIKEET_MEMBER(adapter.config.feedforward_modules)),
      number_field("hira_dropout", "HIRA: probability of dropping an input of what it adds", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.hira_dropout)),
      integer_field("oft_block_size", "OFT: columns of the weight that are rotated together; 0: r blocks",
                    ranges::kBlockSize, LORIKEET_MEMBER(adapter.config.oft.block_size)),
      boolean_field("block_share", "OFT: one rotation for all blocks of a layer",
                    LORIKEET_MEMBER(adapter.config.oft.block_share)),
      boolean_field("coft", "OFT: keep the rotations within coft_eps of none",
                    LORIKEET_MEMBER(adapter.config.oft.coft)),
      number_field("coft_eps", "with coft; PEFT's 'eps'", {0, 1e6}, LORIKEET_MEMBER(adapter.config.oft.eps)),
      boolean_field("use_cayley_neumann", "OFT: a series instead of the exact Cayley transform",
                    LORIKEET_MEMBER(adapter.config.oft.use_cayley_neumann)),
      integer_field("num_cayley_neumann_terms", "OFT: number of terms of that series", {1, 64},
                    LORIKEET_MEMBER(adapter.config.oft.num_cayley_neumann_terms)),
      integer_field("boft_block_size",
                    "BOFT: columns of the weight that are rotated together; 0: boft_block_num blocks",
                    ranges::kBlockSize, LORIKEET_MEMBER(adapter.config.boft.block_size)),
      integer_field("boft_block_num", "BOFT: number of blocks, with boft_block_size 0", ranges::kBlockSize,
                    LORIKEET_MEMBER(adapter.config.boft.block_num)),
      integer_field("boft_n_butterfly_factor", "BOFT: number of factors, each of which mixes twice as many blocks",
                    {1, 16}, LORIKEET_MEMBER(adapter.config.boft.n_butterfly_factor)),
      number_field("boft_dropout", "BOFT: share of one factor's blocks that a step leaves out", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.boft.dropout)),
      integer_field("n_frequency", "FOURIERFT: learned numbers of each layer, at most the elements of its weight",
                    ranges::kFrequencies, LORIKEET_MEMBER(adapter.config.fourierft.n_frequency)),
      table_field("n_frequency_pattern", "other n_frequency by pattern for the end of a name after a dot, or by name",
                  LORIKEET_MEMBER(adapter.config.fourierft.n_frequency_pattern)),
      number_field("fourierft_scaling", "FOURIERFT: factor of the change of the weight; PEFT's 'scaling'", {-1e6, 1e6},
                   LORIKEET_MEMBER(adapter.config.fourierft.scaling)),
      integer_field("random_loc_seed", "FOURIERFT: seed that draws the frequencies", ranges::kSeed,
                    LORIKEET_MEMBER(adapter.config.fourierft.random_loc_seed)),
      boolean_field("fourierft_init_weights",
                    "FOURIERFT: start at zero, which changes nothing; false: from a normal distribution, as PEFT does "
                    "by default; PEFT's 'init_weights'",
                    LORIKEET_MEMBER(adapter.config.fourierft.init_weights)),
      integer_field("projection_prng_key", "VERA: seed of the matrices that all layers share", ranges::kSeed,
                    LORIKEET_MEMBER(adapter.config.vera.projection_prng_key)),
      save_projection_field(),
      number_field("vera_dropout", "VERA: probability of dropping an input", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.vera.dropout)),
      number_field("d_initial", "VERA: initial value of vera_lambda_d", {-1e6, 1e6},
                   LORIKEET_MEMBER(adapter.config.vera.d_initial)),
      integer_field("theta_d_length", "UNILORA: learned numbers of the complete adapter", ranges::kThetaLength,
                    LORIKEET_MEMBER(adapter.config.unilora.theta_d_length)),
      integer_field("proj_seed", "UNILORA: seed that draws the places of each number in A and B", ranges::kSeed,
                    LORIKEET_MEMBER(adapter.config.unilora.proj_seed)),
      boolean_field("save_indices", "UNILORA: save these places, which the seed gives again",
                    LORIKEET_MEMBER(adapter.config.unilora.save_indices)),
      number_field("init_theta_d_bound", "UNILORA: the numbers start uniform between -bound and bound", {1e-30, 1e6},
                   LORIKEET_MEMBER(adapter.config.unilora.init_theta_d_bound)),
      number_field("unilora_dropout", "UNILORA: probability of dropping an input", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.unilora.dropout)),
      integer_field("u", "TINYLORA: numbers in each learned vector", {1, 1 << 16},
                    LORIKEET_MEMBER(adapter.config.tinylora.u)),
      number_field("weight_tying", "TINYLORA: from 0, a vector for each layer, to 1, one vector for all layers", {0, 1},
                   LORIKEET_MEMBER(adapter.config.tinylora.weight_tying)),
      integer_field("projection_seed", "TINYLORA: seed of the fixed random projections", {0, 1LL << 53},
                    LORIKEET_MEMBER(adapter.config.tinylora.projection_seed)),
      number_field("tinylora_dropout", "TINYLORA: probability of dropping an input", ranges::kDropout,
                   LORIKEET_MEMBER(adapter.config.tinylora.dropout)),
      choice_field("tinylora_init", "TINYLORA: initial vectors; PEFT's 'init_weights'", {"zeros", "uniform"},
                   LORIKEET_MEMBER(adapter.config.tinylora.starts_uniform)),
      number_field("init_v_bound", "TINYLORA: bound of uniform initial vectors", {0, 1e6},
                   LORIKEET_MEMBER(adapter.config.tinylora.init_v_bound)),
      boolean_field("replace_output", "replace the network's last Linear with a new one, with one output per class",
                    LORIKEET_MEMBER(adapter.replace_output)),
      head_field(),
      choice_field("head_activation", "activation between the head's layers", {"none", "relu"},
                   LORIKEET_MEMBER(adapter.head_activation)),

      integer_field("epochs", "passes over the training images", ranges::kEpochs, LORIKEET_MEMBER(loop.epochs)),
      time_field(),
      integer_field("max_steps", "stop after this many steps; 0: never", ranges::kCount,
                    LORIKEET_MEMBER(loop.max_steps)),
      integer_field("batch_size", "images per step", ranges::kBatchSize, LORIKEET_MEMBER(loop.batch_size)),
      choice_field("optimizer", "the optimizer", {"adamw", "sgd"}, LORIKEET_MEMBER(optimizer.kind)),
      number_field("learning_rate", "peak learning rate of the schedule", ranges::kLearningRate,
                   LORIKEET_MEMBER(optimizer.learning_rate)),
      number_field("weight_decay", "weight decay: decoupled for adamw, added to the gradient for sgd, as in PyTorch",
                   ranges::kWeightDecay, LORIKEET_MEMBER(optimizer.weight_decay)),
      betas_field(),
      number_field("eps", "AdamW's term for numerical stability", ranges::kEps, LORIKEET_MEMBER(optimizer.eps)),
      number_field("momentum", "of SGD", ranges::kDecay, LORIKEET_MEMBER(optimizer.momentum)),
      boolean_field("nesterov", "Nesterov momentum, with SGD", LORIKEET_MEMBER(optimizer.nesterov)),
      choice_field("schedule", "learning rate after the warm-up", {"constant", "cosine", "one_cycle"},
                   LORIKEET_MEMBER(optimizer.schedule)),
      number_field("warmup", "fraction of the steps in which the learning rate rises; 0: none, but 0.3 for one_cycle",
                   ranges::kWarmup, LORIKEET_MEMBER(optimizer.warmup)),
      integers_field("stages",
                     "numbers of steps: up to step n of these, the learning rate is that of a run of n steps, as in a "
                     "run that was extended from n steps; 'lorikeet search' writes them",
                     LORIKEET_MEMBER(optimizer.stages)),
      number_field("label_smoothing", "fraction of the target that is spread over all classes", ranges::kLabelSmoothing,
                   LORIKEET_MEMBER(loop.label_smoothing)),
      class_weights_field(),
      choice_field("sampling",
                   "uniform: each epoch has each image once; balanced: as many, but each class equally often",
                   {"uniform", "balanced"}, LORIKEET_MEMBER(loop.sampling)),
      number_field("clip_grad_norm", "largest L2 norm of the gradient; 0: no limit", ranges::kGradientNorm,
                   LORIKEET_MEMBER(optimizer.clip_grad_norm)),
      choice_field("best", "the epoch that is kept: the best by this metric on the validation images, or the last",
                   best_epoch_names(), LORIKEET_MEMBER(loop.best)),
      integer_field("early_stop", "stop after this many epochs without an improvement of the metric `best`; 0: never",
                    ranges::kEarlyStop, LORIKEET_MEMBER(loop.early_stop)),
      {"seed", "seed of the adapter's initial values, the order and augmentation of images, and dropout",
       [](Recipe& r, const YAML::Node& n) {
         r.loop.seed = static_cast<std::uint64_t>(integer("seed", n, ranges::kSeed));
       },
       [](const Recipe& r, YAML::Emitter& out) { out << r.loop.seed; }, integer_schema(ranges::kSeed)},
      boolean_field("shuffle", "draw a new order for each epoch", LORIKEET_MEMBER(loop.shuffle)),
      number_field("checkpoint_seconds",
                   "save a checkpoint after this many seconds, and after each epoch; 0: after every step",
                   ranges::kSeconds, LORIKEET_MEMBER(loop.checkpoint_seconds)),

      choice_field("device", "where the network runs", device_names(), LORIKEET_MEMBER(machine.device)),
      choice_field(
          "precision",
          "of activations and frozen weights; trained parameters stay float32. auto: bfloat16 where the "
          "processor has it; int8: frozen layers, and the complete network once trained, with scales measured on "
          "training images; the rest and gradients as with auto",
          precision_names(), LORIKEET_MEMBER(machine.precision)),
      choice_field("engine", "plain: PyTorch's own operators in its own order, to follow PyTorch step by step",
                   engine_names(), LORIKEET_MEMBER(machine.engine)),
      integer_field("threads", "threads of the computation; 0: one for each core", ranges::kThreads,
                    LORIKEET_MEMBER(machine.threads)),
      integer_field("loader_threads",
                    "threads that read and augment images, which the results do not depend on; 0: a quarter of threads",
                    ranges::kThreads, LORIKEET_MEMBER(machine.loader_threads)),
      number_field("cache_gib", "GiB of memory for the frozen prefix's outputs, which later epochs reuse; 0: none",
                   ranges::kGib, LORIKEET_MEMBER(machine.cache_gib)),
      number_field("cache_disk_gib",
                   "if that is too small: GiB of a file in the run's folder, used if twice as much is free; 0: none",
                   ranges::kGib, LORIKEET_MEMBER(machine.cache_disk_gib)),
      integer_field(
          "cache_views",
          "with augmentation: draw this many views of each image, cache the prefix's outputs for all of them and use "
          "them in turn; 0: new views each epoch, no cache",
          ranges::kViews, LORIKEET_MEMBER(data.cache_views)),
      choice_field("file_precision",
                   "of the learned tensors in adapter.lorikeet, the adapter as one file; float32 is lossless",
                   file_precision_names(), LORIKEET_MEMBER(file_precision)),
      search_field(),
      reference_field(),
  };
  return kFields;
}

#undef LORIKEET_MEMBER

}  // namespace lorikeet::fields
