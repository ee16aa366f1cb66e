#include "train/start_from.h"

#include "adapters/matching.h"
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
  if (config.peft_type != PeftType::kUniLora || config.unilora.save_indices) return;
  require_same("proj_seed", config.unilora.proj_seed, start.unilora.proj_seed);
  require_same("r", config.r, start.r);
  const auto nodes_of = [](const std::vector<AdapterTarget>& targets) {
    std::vector<NodeId> out;
    for (const AdapterTarget& target : targets) out.push_back(target.node);
    return out;
  };
  if (nodes_of(match_modules(adaptation.graph, start).targets) != nodes_of(adaptation.targets)) {
    fail_usage("target_modules: got other modules than ", where,
               " with start_from, expected the same: what UniLoRA's vector means in a layer depends on all of them.");
  }
}

}  // namespace

void start_from(const fs::path& path, const BaseView& base, const Adaptation& adaptation, Network& network) {
  const auto found = adapter_path(path);
  if (!found) {
    fail_usage("start_from: got '", printable(path.string()), "', expected the folder or the file of an adapter.");
  }
  const AdapterFolder start = is_adapter_file(*found) ? read_adapter_over(*found, base) : read_adapter(*found);
  check_adapter_tensors(start.tensors, adaptation, found->string());
  check_same_seeds(start.spec, adaptation, found->string());
  network.load_adapter_tensors(start.tensors);
}

}  // namespace lorikeet
