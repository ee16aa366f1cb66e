#include "train/defaults.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "data/datasets.h"
#include "graph/shapes.h"
#include "models/models.h"
#include "models/weights.h"
#include "train/recipe_field.h"
#include "train/training_data.h"

namespace lorikeet {
namespace {

// Of one thread, in a forward pass of networks with depthwise convolutions. Measured on Zen 4 with AVX-512: 25; half of
// that for processors without.
constexpr double kMacsPerSecond = 12e9;
constexpr std::int64_t kSmallImage = 64;  // pixels

double pass_seconds(const DefaultsFacts& facts, std::int64_t macs) {
  return static_cast<double>(facts.train_images) * static_cast<double>(macs) /
         (kMacsPerSecond * static_cast<double>(facts.threads));
}

bool is_affordable(const DefaultsFacts& facts, std::int64_t macs) {
  return pass_seconds(facts, macs) <= facts.seconds / 4;
}

std::int64_t batch_size(const DefaultsFacts& facts) {
  std::int64_t out = facts.train_images < 2000 ? 32 : 64;
  while (out > 4 && out * 4 > facts.train_images) out /= 2;
  return out;
}

std::int64_t epochs(std::int64_t steps_per_epoch) {
  constexpr std::int64_t kSteps = 80;
  return std::clamp<std::int64_t>((kSteps + steps_per_epoch - 1) / steps_per_epoch, 3, 12);
}

double learning_rate(std::optional<Tuning> tune) {
  if (tune == Tuning::kFull) return 1e-4;
  if (tune == Tuning::kPartial) return 3e-4;
  if (tune == Tuning::kProbe || tune == Tuning::kNorm || tune == Tuning::kBias) return 5e-3;
  return 2e-3;
}

// Of eight images, evenly spread.
std::int64_t median_side(const Dataset& data) {
  constexpr std::int64_t kImages = 8;
  std::vector<std::int64_t> sides;
  for (std::int64_t i = 0; i < std::min(kImages, data.size()); ++i) {
    const Sample sample = data.get(i * data.size() / std::min(kImages, data.size()));
    sides.push_back(std::min(sample.image.size(1), sample.image.size(2)));
  }
  if (sides.empty()) return 0;
  std::nth_element(sides.begin(), sides.begin() + static_cast<std::ptrdiff_t>(sides.size() / 2), sides.end());
  return sides[sides.size() / 2];
}

std::string line(const DefaultChoice& choice) {
  std::vector<std::string> values;
  for (const auto& [key, value] : choice.values) values.push_back(cat(key, " ", value));
  return cat(choice.subject, ": ", values.empty() ? "as given" : join(values, ", "), " (", choice.reason, ")");
}

std::set<std::string> keys_of(const std::vector<std::string>& overrides) {
  std::set<std::string> out;
  for (const std::string& override : overrides) out.insert(override.substr(0, override.find('=')));
  return out;
}

}  // namespace

const std::vector<DefaultBase>& default_bases() {
  static const std::vector<DefaultBase> kBases = [] {
    std::vector<DefaultBase> out;
    for (const char* name : {"efficientnet_lite2", "efficientnet_lite1", "efficientnet_lite0"}) {
      const std::int64_t side = default_preprocessing(name).crop;
      const auto macs = count_macs(find_model(name).build(), side, side);
      // More than `auto` selects: on 244 images of four classes, 0.887 instead of 0.860 in twice the time.
      out.push_back({name, side, std::accumulate(macs.begin(), macs.end(), std::int64_t{0}),
                     R"('blocks\.[4-6]\..*\.conv_pwl?')"});
    }
    return out;
  }();
  return kBases;
}

const DefaultBase& choose_base(const std::vector<DefaultBase>& bases, const DefaultsFacts& facts) {
  const auto found = std::find_if(bases.begin(), bases.end(),
                                  [&](const DefaultBase& base) { return is_affordable(facts, base.macs); });
  return found != bases.end() ? *found : bases.back();
}

std::vector<DefaultChoice> choose_defaults(const DefaultsFacts& facts, const DefaultBase* base,
                                           const Recipe& given_recipe, const std::set<std::string>& given) {
  std::vector<DefaultChoice> out;
  const auto is_given = [&](const char* key) { return given.contains(key); };
  const auto set = [&](const char* key, std::string value) {
    if (!is_given(key)) out.back().values.emplace_back(key, std::move(value));
  };
  const auto images_each = facts.train_images / std::max<std::int64_t>(1, facts.classes);
  const std::string images = counted(facts.train_images, "image");

  out.push_back({"base", {}, is_given("weights") ? "the model of the weights" : "the model that was given"});
  if (base != nullptr) {
    out.back().reason = is_affordable(facts, base->macs) ? cat("the most accurate base that reads ", images, " in ",
                                                               clock(std::max(1.0, pass_seconds(facts, base->macs))),
                                                               " or less on ", counted(facts.threads, "thread"))
                                                         : cat("the fastest base, for ", images);
    set("model", base->model);
    // Larger than the images are, which helps; the base's own size only where there is time for it.
    if (facts.side > 0 && facts.side <= kSmallImage && !is_affordable(facts, base->macs)) {
      set("image_size", std::to_string(std::max<std::int64_t>(64, (3 * facts.side + 31) / 32 * 32)));
      out.back().reason += cat(" of ", facts.side, " pixels");
    } else {
      out.back().reason += cat("; images of ", base->side, " pixels, as in its own training");
    }
  } else if (is_given("weights")) {
    set("model", "''");
  }

  out.push_back({"tune",
                 {},
                 cat("an adapter on the last layers, which recognise objects, and a new output learn ",
                     counted(facts.classes, "class"), " from ", counted(images_each, "image"), " each")});
  const bool names_modules = is_given("target_modules") || is_given("modules_to_save") || is_given("bias");
  const bool has_output = is_given("head") || is_given("replace_output");
  if (is_given("tune") || names_modules || has_output || is_given("peft_type")) {
    out.back().reason = "what was given, with a new output";
    if (!is_given("tune") && !names_modules) set("target_modules", "auto");
    if (!is_given("tune") && !has_output) set("head", "new");
  } else {
    set("tune", "adapter");
    if (base != nullptr) set("target_modules", base->targets);
  }
  const std::optional<Tuning> tune = is_given("tune") ? given_recipe.adapter.tune : std::optional(Tuning::kAdapter);
  if (tune == Tuning::kAdapter || !is_given("tune")) {
    set("r", "8");
    set("lora_alpha", "16");
  }

  const std::int64_t batch = is_given("batch_size") ? given_recipe.loop.batch_size : batch_size(facts);
  out.push_back({"rate", {}, "what suits this tuning; it rises and falls in the course of the run"});
  set("batch_size", std::to_string(batch));
  set("learning_rate", fields::exact(learning_rate(tune)));
  set("schedule", "one_cycle");
  set("label_smoothing", "0.1");

  const std::int64_t steps = (facts.train_images + batch - 1) / batch;
  out.push_back({"length", {}, cat(counted(steps, "step"), " an epoch")});
  if (facts.has_limit) {
    out.back().reason += cat(", as many as fit into ", clock(facts.seconds));
  } else {
    set("epochs", std::to_string(epochs(steps)));
  }
  out.back().reason += "; images are not varied, so that the frozen layers run once for each";
  return out;
}

DefaultRecipe default_recipe(const std::vector<std::string>& overrides, const TrainCallbacks& callbacks) {
  const std::set<std::string> given = keys_of(overrides);
  if (!given.contains("data"))
    fail_usage(
        "train: got neither a recipe nor data, expected a YAML file, data=FOLDER, or --resume RUN. "
        "'lorikeet train --help' says what is expected.");
  const Recipe asked = parse_recipe("head: new\n", "defaults", overrides);
  DefaultRecipe out;
  out.data.opened = open_dataset(asked.data.name, callbacks.download, open_options(asked.data));
  out.data.used = with_bad_images(asked.data.bad_images, split_data(asked, out.data.opened), callbacks.progress);
  const Splits& data = out.data.used;
  DefaultsFacts facts;
  facts.train_images = data.train->size();
  facts.classes = static_cast<std::int64_t>(data.train->classes().size());
  facts.side = median_side(*data.train);
  facts.has_limit = asked.loop.seconds > 0;
  if (facts.has_limit) facts.seconds = asked.loop.seconds;
  facts.threads = asked.machine.threads > 0 ? asked.machine.threads : at::get_num_threads();

  std::vector<DefaultBase> bases = default_bases();
  const DefaultBase* base = nullptr;
  while (base == nullptr && !given.contains("model") && !given.contains("weights")) {
    const DefaultBase& chosen = choose_base(bases, facts);
    try {
      fetch_weights(find_weights(chosen.model), callbacks.download);
      base = &chosen;
    } catch (const Error& error) {
      if (bases.size() == 1) throw;
      out.notes.push_back(cat(chosen.model, " is not used: ", error.what()));
      bases.erase(bases.begin() + (&chosen - bases.data()));
    }
  }
  std::string yaml;
  for (const DefaultChoice& choice : choose_defaults(facts, base, asked, given)) {
    out.notes.push_back(line(choice));
    for (const auto& [key, value] : choice.values) yaml += cat(key, ": ", value, "\n");
  }
  out.recipe = parse_recipe(yaml.empty() ? "{}" : yaml, "defaults", overrides);
  return out;
}

}  // namespace lorikeet
