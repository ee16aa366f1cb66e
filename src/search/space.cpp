#include "search/space.h"

#include <algorithm>
#include <cmath>

#include "base/compute.h"
#include "base/error.h"
#include "base/text.h"
#include "loading/adapter_names.h"
#include "search/places.h"
#include "train/tuning.h"

namespace lorikeet {
namespace {

// A method with the values of its keys. The candidates are all combinations.
struct Family {
  std::string method;
  std::vector<SearchedKey> keys;
};

constexpr const char* kSmallHead = "{projected: 16, basis: output}";

// Few, so that a search of twenty minutes on two cores sees all of them; docs/search.md lists them.
std::vector<Family> default_families() {
  return {
      {kHeadOnly, {{"head", {"{projected: 64, basis: output}"}}, {"learning_rate", {"2e-2"}}}},
      {kHeadOnly, {{"head", {"new"}}, {"learning_rate", {"3e-3"}}}},
      {"TINYLORA",
       {{"target_modules", {"middle", "gradient", "all"}},
        {"r", {"16"}},
        {"u", {"100", "330", "1000"}},
        {"weight_tying", {"1"}},
        {"head", {kSmallHead}},
        {"learning_rate", {"1e-2"}}}},
      {"LORA_XS",
       {{"target_modules", {"middle", "gradient", "all"}},
        {"r", {"2", "4", "8"}},
        {"head", {kSmallHead}},
        {"learning_rate", {"2e-2"}}}},
      {"UNILORA",
       {{"target_modules", {"gradient"}},
        {"r", {"4"}},
        {"theta_d_length", {"300", "1000"}},
        {"head", {kSmallHead}},
        {"learning_rate", {"2e-2"}}}},
      {"LN_TUNING", {{"target_modules", {"last", "all"}}, {"head", {kSmallHead}}, {"learning_rate", {"1e-2"}}}},
      {"LORA",
       {{"target_modules", {"last", "gradient"}},
        {"r", {"2", "8"}},
        {"head", {"{rank: 8}"}},
        {"learning_rate", {"3e-3"}}}},
  };
}

Family other_family(const std::string& method) {
  return {method,
          {{"target_modules", {"middle", "gradient"}}, {"head", {kSmallHead}}, {"learning_rate", {"5e-3", "2e-2"}}}};
}

bool applies(const std::string& key, const std::string& method) {
  const auto is_one_of = [&](std::initializer_list<const char*> methods) {
    return std::find(methods.begin(), methods.end(), method) != methods.end();
  };
  if (key == "target_modules") return method != kHeadOnly;
  if (key == "r") return is_one_of({"LORA", "LOHA", "LOKR", "HIRA", "VERA", "UNILORA", "LORA_XS", "TINYLORA"});
  if (key == "lora_alpha") return is_one_of({"LORA", "LOHA", "LOKR", "LORA_XS"});
  if (key == "u" || key == "weight_tying") return method == "TINYLORA";
  if (key == "theta_d_length") return method == "UNILORA";
  if (key == "n_frequency") return method == "FOURIERFT";
  return key == "head" || key == "learning_rate" || key == "weight_decay";
}

std::vector<Family> families_of(const Recipe& recipe, const std::set<std::string>& named) {
  std::vector<Family> out = default_families();
  const auto searched = [&](const char* key) {
    return std::find_if(recipe.search.begin(), recipe.search.end(), [&](const auto& s) { return s.key == key; });
  };
  std::vector<std::string> methods;
  if (named.contains("peft_type")) {
    methods = {name_of(recipe.adapter.config.peft_type)};
  } else if (const auto found = searched("peft_type"); found != recipe.search.end()) {
    methods = found->values;
  }
  if (!methods.empty()) {
    std::erase_if(out, [&](const Family& family) {
      return std::find(methods.begin(), methods.end(), family.method) == methods.end();
    });
    for (const std::string& method : methods) {
      if (std::none_of(out.begin(), out.end(), [&](const Family& family) { return family.method == method; }))
        out.push_back(other_family(method));
    }
  }
  if (named.contains("target_modules")) {
    std::erase_if(out, [&](const Family& family) {
      return family.method == kHeadOnly || (family.method == "LN_TUNING" && methods.empty());
    });
  }
  const bool has_head = named.contains("head") || named.contains("replace_output") || named.contains("modules_to_save");
  for (Family& family : out) {
    for (const SearchedKey& own : recipe.search) {
      if (own.key == "peft_type" || !applies(own.key, family.method)) continue;
      std::erase_if(family.keys, [&](const SearchedKey& key) { return key.key == own.key; });
      family.keys.push_back(own);
    }
    std::erase_if(family.keys,
                  [&](const SearchedKey& key) { return named.contains(key.key) || (key.key == "head" && has_head); });
  }
  return out;
}

// All combinations of the values, the last key varying fastest.
std::vector<Candidate> combinations(const Family& family) {
  std::vector<Candidate> out{Candidate{.method = family.method}};
  if (family.method != kHeadOnly) out.front().settings.emplace_back("peft_type", family.method);
  for (const auto& [key, values] : family.keys) {
    std::vector<Candidate> longer;
    for (const Candidate& candidate : out) {
      for (const std::string& value : values) {
        longer.push_back(candidate);
        longer.back().settings.emplace_back(key, value);
      }
    }
    out = std::move(longer);
  }
  return out;
}

// Puts the expression in the place of its name.
void resolve_places(Candidate& candidate, const SpaceOptions& options) {
  for (auto& [key, value] : candidate.settings) {
    if (key != "target_modules") continue;
    candidate.places = value;
    const auto& names = place_names();
    if (std::find(names.begin(), names.end(), value) == names.end()) continue;
    const auto layers = stages_of(options.base.graph, PeftType::kLora);
    std::vector<Stage> chosen = stages_at(value, layers, options.gradients);
    candidate.gradient = mean_gradient(chosen, options.gradients);
    if (candidate.method == name_of(PeftType::kLnTuning)) {
      std::vector<Stage> norms = stages_of(options.base.graph, PeftType::kLnTuning);
      std::erase_if(norms, [&](const Stage& norm) {
        return std::none_of(chosen.begin(), chosen.end(), [&](const Stage& stage) { return stage.name == norm.name; });
      });
      chosen = std::move(norms);
    }
    value = targets_yaml(options.base.graph, chosen);
  }
}

// Throws UsageError if it does not fit the model.
std::int64_t parameters_of(const Candidate& candidate, const std::string& yaml, const SpaceOptions& options) {
  AdaptationOptions adapter = parse_recipe(yaml, "search", candidate.overrides()).adapter;
  resolve_tuning(adapter, options.base.graph);
  AdapterSpec spec = adapter.spec(options.classes);
  resolve_targets(spec.config, *options.base.entry, options.base.graph);
  return count_trainable(adapt(options.base.graph, spec));
}

std::vector<Candidate> ordered(std::vector<Candidate> candidates) {
  std::map<int, std::vector<Candidate>> sizes;
  for (Candidate& candidate : candidates)
    sizes[std::ilogb(static_cast<double>(candidate.parameters))].push_back(std::move(candidate));
  for (auto& [size, of_size] : sizes) {
    std::stable_sort(of_size.begin(), of_size.end(),
                     [](const Candidate& a, const Candidate& b) { return a.gradient > b.gradient; });
  }
  std::vector<Candidate> out;
  for (std::size_t i = 0; out.size() < candidates.size(); ++i) {
    for (auto& [size, of_size] : sizes) {
      if (i < of_size.size()) out.push_back(std::move(of_size[i]));
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> Candidate::overrides() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : settings) out.push_back(cat(key, "=", value));
  return out;
}

std::string Candidate::setting(const std::string& key) const {
  const auto found = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.first == key; });
  return found != settings.end() ? found->second : "";
}

std::vector<Candidate> make_candidates(const SpaceOptions& options, std::vector<std::string>& notes) {
  Recipe recipe = options.recipe;
  recipe.search.clear();
  const std::string yaml = recipe_yaml(recipe);
  for (const auto& [key, values] : options.recipe.search) {
    if (options.named.contains(key))
      fail_usage("search: ", key, ": got values for it, and one in the recipe, expected one or the other.");
  }
  std::string first;  // combination that does not fit
  std::vector<Candidate> out;
  std::set<std::vector<std::string>> seen;
  std::set<std::string> methods, fitting;        // keys that a candidate has
  std::map<std::string, std::string> unfitting;  // keys of combinations that do not fit, with the first one
  for (const Family& family : families_of(options.recipe, options.named)) {
    methods.insert(family.method);
    for (Candidate& candidate : combinations(family)) {
      const std::string places = candidate.setting("target_modules");
      resolve_places(candidate, options);
      if (!seen.insert(candidate.overrides()).second) continue;  // two names of one place
      try {
        candidate.parameters = parameters_of(candidate, yaml, options);
        for (const auto& [key, value] : candidate.settings) fitting.insert(key);
        out.push_back(std::move(candidate));
      } catch (const Error& error) {
        const std::string what = cat(candidate.method, places.empty() ? "" : cat(" at ", places), ": ", error.what());
        for (const auto& [key, value] : candidate.settings) unfitting.try_emplace(key, what);
        if (const std::string note = "left out " + what; std::find(notes.begin(), notes.end(), note) == notes.end())
          notes.push_back(note);
        if (first.empty()) first = what;
      }
    }
  }
  if (out.empty())
    fail_usage("search: got no combination that fits the recipe and the model, expected at least one.",
               first.empty() ? "" : cat(" The first one: ", first));
  for (const auto& [key, values] : options.recipe.search) {
    if (key == "peft_type" || key == "file_precision" || fitting.contains(key)) continue;
    if (const auto found = unfitting.find(key); found != unfitting.end())
      fail_usage("search: ", key, ": got ", printable(join(values, ", ")),
                 ", expected a value that fits the recipe and the model. The first combination: ", found->second);
    fail_usage("search: ", key, ": got values, expected none: no method that is tried (",
               join({methods.begin(), methods.end()}, ", "), ") has this key in a search with this recipe.");
  }
  return ordered(std::move(out));
}

std::vector<FilePrecision> searched_precisions(const Recipe& recipe, const std::set<std::string>& named) {
  if (named.contains("file_precision")) return {recipe.file_precision};
  const auto& names = file_precision_names();
  std::vector<FilePrecision> out;
  for (const auto& [key, values] : recipe.search) {
    if (key != "file_precision") continue;
    for (const std::string& value : values)
      out.push_back(static_cast<FilePrecision>(std::find(names.begin(), names.end(), value) - names.begin()));
  }
  if (out.empty()) out = {FilePrecision::kBFloat16, FilePrecision::kInt8, FilePrecision::kInt4};
  return out;
}

void check_searchable(const std::set<std::string>& named) {
  for (const char* key : {"tune", "time", "early_stop", "stages", "start_from"}) {
    if (named.contains(key))
      fail_usage(key, ": got it in the recipe of a search, expected none: the search decides it. ",
                 key == std::string_view("tune") ? "Name peft_type or target_modules." : "Remove it.");
  }
}

}  // namespace lorikeet
