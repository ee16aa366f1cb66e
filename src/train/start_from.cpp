#include "train/start_from.h"

#include <ATen/Functions.h>

#include <set>
#include <utility>

#include "adapters/matching.h"
#include "adapters/methods.h"
#include "base/error.h"
#include "base/text.h"
#include "loading/resolve_name.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// What is regenerated from a seed, and so belongs to the numbers that were learned with it, must be the same.
void check_same_seeds(const AdapterSpec& from, const Adaptation& adaptation, const std::string& where) {
  const AdapterConfig& start = from.config;
  const AdapterConfig& config = adaptation.config;
  if (from.small_output && adaptation.small_output && *from.small_output != *adaptation.small_output) {
    fail_usage("head: got ", json_text(small_output_json(*adaptation.small_output)), " with start_from, expected ",
               json_text(small_output_json(*from.small_output)), ", as in ", where,
               ", with which its numbers were learned.");
  }
  const auto require_same = [&](const char* key, std::int64_t value, std::int64_t expected) {
    if (value != expected) {
      fail_usage(key, ": got ", value, " with start_from, expected ", expected, ", as in ", where,
                 ", with which its numbers were learned.");
    }
  };
  if (start.peft_type != config.peft_type) return;  // then it has other tensors
  if (config.peft_type == PeftType::kFourierFt)
    require_same("random_loc_seed", config.fourierft.random_loc_seed, start.fourierft.random_loc_seed);
  if (config.peft_type == PeftType::kVera && !config.vera.save_projection)
    require_same("projection_prng_key", config.vera.projection_prng_key, start.vera.projection_prng_key);
  const bool has_seeded_layers = config.peft_type == PeftType::kUniLora || config.peft_type == PeftType::kTinyLora;
  const bool is_saved =
      config.peft_type == PeftType::kUniLora ? config.unilora.save_indices : config.tinylora.save_projection;
  if (!has_seeded_layers || is_saved) return;
  if (config.peft_type == PeftType::kUniLora) {
    require_same("proj_seed", config.unilora.proj_seed, start.unilora.proj_seed);
    require_same("r", config.r, start.r);
  } else {
    require_same("projection_seed", config.tinylora.projection_seed, start.tinylora.projection_seed);
  }
  const auto nodes_of = [](const std::vector<AdapterTarget>& targets) {
    std::vector<NodeId> out;
    for (const AdapterTarget& target : targets) out.push_back(target.node);
    return out;
  };
  if (nodes_of(match_modules(adaptation.graph, start).targets) != nodes_of(adaptation.targets)) {
    fail_usage("target_modules: got other modules than ", where,
               " with start_from, expected the same: what a vector of ", method_of(config).name,
               " means in a layer depends on all of them.");
  }
}

// A file contains all biases, of which `tune: bias` may train a part. The others must be the base's.
void leave_out_other_biases(NamedTensors& tensors, const NamedTensors& base, const Adaptation& adaptation,
                            const std::string& where) {
  if (std::holds_alternative<std::monostate>(adaptation.config.bias_modules)) return;
  std::set<std::string> learned;
  for (const Parameter& parameter : adapter_parameters(adaptation)) learned.insert(parameter.name);
  NamedTensors kept;
  kept.metadata = tensors.metadata;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor* of_base = name.ends_with(".bias") && learned.count(name) == 0 ? base.find(name) : nullptr;
    if (of_base == nullptr) {
      kept.add(name, tensor);
    } else if (!at::equal(*of_base, tensor)) {
      fail_usage("target_modules: got modules with start_from, which do not include ", name.substr(0, name.rfind('.')),
                 ", expected all modules whose biases ", where, " changes.");
    }
  }
  tensors = std::move(kept);
}

}  // namespace

void start_from(const fs::path& path, const BaseView& base, const Adaptation& adaptation, Network& network) {
  const auto found = adapter_path(path);
  if (!found) {
    fail_usage("start_from: got '", printable(path.string()), "', expected the folder or the file of an adapter.");
  }
  AdapterFolder start = is_adapter_file(*found) ? read_adapter_over(*found, base) : read_adapter(*found);
  leave_out_other_biases(start.tensors, base.weights, adaptation, found->string());
  check_adapter_tensors(start.tensors, adaptation, found->string());
  check_same_seeds(start.spec, adaptation, found->string());
  network.load_adapter_tensors(start.tensors);
}

}  // namespace lorikeet
