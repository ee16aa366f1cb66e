#include <algorithm>
#include <set>
#include <utility>

#include "adapters/adapter_folder.h"
#include "adapters/matching.h"
#include "api/boundary.h"
#include "api/model_state.h"
#include "base/available_memory.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/tensor_type.h"
#include "loading/adapter_names.h"
#include "loading/resolve_name.h"
#include "train/footprint.h"
#include "train/recipe.h"
#include "train/start_from.h"

namespace lorikeet {
namespace {

template <typename Enum>
Enum named(const char* key, const std::vector<std::string>& names, const std::string& value) {
  const auto found = std::find(names.begin(), names.end(), value);
  if (found == names.end())
    fail_usage(key, ": got \"", printable(value), "\", expected one of ", join(names, ", "), ".");
  return static_cast<Enum>(found - names.begin());
}

AdapterConfig adapter_config(const AdapterOptions& options, const std::string& base) {
  AdapterConfig config;
  config.peft_type = named<PeftType>("peft_type", peft_type_names(), options.peft_type);
  config.target_modules = options.target_modules.value();
  config.exclude_modules = options.exclude_modules.value();
  config.modules_to_save = options.modules_to_save;
  config.base_model_name_or_path = base;
  config.r = options.r;
  config.lora_alpha = options.lora_alpha;
  config.rank_pattern = options.rank_pattern;
  config.alpha_pattern = options.alpha_pattern;
  config.layers_to_transform = options.layers_to_transform;
  config.layers_pattern = options.layers_pattern;
  config.lora_dropout = options.lora_dropout;
  config.use_rslora = options.use_rslora;
  config.use_dora = options.use_dora;
  config.lora_bias = options.lora_bias;
  config.bias = named<TrainedBias>("bias", trained_bias_names(), options.bias);
  config.init_lora_weights = named<LoraStart>("init_lora_weights", lora_start_names(), options.init_lora_weights);
  config.use_effective_conv2d = options.use_effective_conv2d;
  config.decompose_both = options.decompose_both;
  config.decompose_factor = options.decompose_factor;
  config.feedforward_modules = options.feedforward_modules.value();
  config.hira_dropout = options.hira_dropout;
  config.oft = {options.oft_block_size, options.block_share,        options.coft,
                options.coft_eps,       options.use_cayley_neumann, options.num_cayley_neumann_terms};
  config.boft = {options.boft_block_size, options.boft_block_num, options.boft_n_butterfly_factor,
                 options.boft_dropout};
  config.fourierft = {options.n_frequency, options.n_frequency_pattern, options.fourierft_scaling,
                      options.random_loc_seed, options.fourierft_init_weights};
  config.vera = {options.projection_prng_key, options.save_projection.value_or(VeraOptions().save_projection),
                 options.vera_dropout, options.d_initial};
  config.unilora = {options.theta_d_length, options.proj_seed, options.save_indices, options.init_theta_d_bound,
                    options.unilora_dropout};
  config.tinylora.u = options.u;
  config.tinylora.weight_tying = options.weight_tying;
  config.tinylora.projection_seed = options.projection_seed;
  config.tinylora.save_projection = options.save_projection.value_or(TinyLoraOptions().save_projection);
  config.tinylora.dropout = options.tinylora_dropout;
  config.tinylora.starts_uniform = options.tinylora_starts_uniform;
  config.tinylora.init_v_bound = options.init_v_bound;
  return config;
}

SmallOutput small_output(const SmallOutputOptions& options) {
  Json json = Json::object();
  for (const auto& [key, size] :
       {std::pair("rank", options.rank), {"projected", options.projected}, {"tied", options.tied}}) {
    if (size != 0) json[key] = size;
  }
  if (options.projected != 0) json["basis"] = options.basis;
  if (options.rank == 0) json["seed"] = options.seed;
  return small_output_options(json, "small_output");
}

// Initialisation runs on the CPU, so that it does not depend on the device.
NamedTensors on_cpu(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) out.add(name, tensor.cpu());
  return out;
}

void check_class_names(const std::vector<std::string>& classes) {
  if (classes.empty()) fail_usage("classes: got none, expected a name for each output.");
  std::set<std::string> seen;
  for (const std::string& name : classes) {
    if (name.empty()) fail_usage("classes: got an empty name, expected a name for each output.");
    if (!is_utf8(name)) fail_usage("classes: got '", printable(name), "', which is not UTF-8, expected UTF-8.");
    if (!seen.insert(name).second) fail_usage("classes: got '", printable(name), "' twice, expected different names.");
  }
}

}  // namespace

void Model::adapt(const AdapterOptions& options) {
  at_boundary("adapt", [&] {
    LoadedModel& loaded = state().loaded;
    if (loaded.adapter) fail_usage("adapt: got a model that is adapted already, expected a base model. Load it again.");
    check_class_names(options.classes);
    AdaptationOptions wanted;
    wanted.config = adapter_config(options, loaded.entry->name);
    wanted.head = options.head;
    wanted.head_activation = options.head_relu ? Activation::kRelu : Activation::kNone;
    wanted.replace_output = options.replace_output;
    if (options.small_output) wanted.small_output = small_output(*options.small_output);
    wanted.check();
    const auto classes = static_cast<std::int64_t>(options.classes.size());
    AdapterSpec spec = wanted.spec(classes);
    const Graph graph = loaded.network.graph();
    resolve_targets(spec.config, *loaded.entry, graph);
    const Adaptation adaptation = lorikeet::adapt(graph, spec);
    if (const std::int64_t outputs = output_features(adaptation.graph); outputs != classes) {
      fail_usage("classes: got ", counted(classes, "name"), ", expected ", outputs, ", the outputs of ",
                 loaded.entry->name, ". Set replace_output or a head.");
    }
    if (const auto available = available_memory()) require_learned_memory(adaptation, /*copies=*/1, *available);
    const NamedTensors weights = on_cpu(loaded.network.merged());
    Network network(adaptation, weights, options.seed);
    if (!options.start_from.empty()) start_from(options.start_from, {graph, weights}, adaptation, network);
    network.to(tensor_device(state().device));
    AdapterFolder adapter{spec,
                          AdapterMetadata{loaded.entry->name, loaded.weights_name, loaded.base_sha256.get(),
                                          options.classes, loaded.preprocessing, loaded.precision},
                          {}};
    std::vector<std::string> names = options.classes;
    // Nothing below throws.
    state().executor.reset();
    loaded.network = std::move(network);
    loaded.classes = std::move(names);
    loaded.has_class_names = true;
    loaded.adapter = std::move(adapter);
  });
}

}  // namespace lorikeet
