#include "adapters/adapter_folder.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "adapters/layer_adapter.h"
#include "adapters/oft.h"
#include "adapters/unilora.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "graph/parameter_values.h"
#include "io/pytorch_file.h"
#include "io/safetensors.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kModelFile = "adapter_model.safetensors";
constexpr const char* kPickledModelFile = "adapter_model.bin";
constexpr const char* kHeadFile = "head.safetensors";
constexpr const char* kMetadataFile = "lorikeet.json";
constexpr const char* kCardFile = "README.md";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kTinyLoraProjection = ".tinylora_P";
constexpr std::string_view kVariance = ".running_var", kCounter = ".num_batches_tracked";
constexpr std::string_view kSharedPrefix = "base_model.";  // of tensors that layers share
constexpr std::uint64_t kMaxJson = 16 << 20;
constexpr std::uint64_t kMaxTensors = 4ULL << 30;

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// Tensors that PEFT saves redundantly: buffers that evaluation does not use and, with bias: all, copies of a fully
// trained module's bias.
bool is_redundant(std::string_view name, const NamedTensors& file) {
  if (is_redundant_buffer(name)) return true;
  for (const std::string_view copy : {".original_module.bias", ".modules_to_save.bias"}) {
    if (name.ends_with(copy) && file.contains(std::string(name.substr(0, name.size() - copy.size())) + ".bias"))
      return true;
  }
  return false;
}

NamedTensors read_tensors(const fs::path& path) {
  std::error_code ignored;
  const std::uintmax_t size = fs::file_size(path, ignored);
  if (!ignored && size > kMaxTensors)
    fail(path.string(), ": got ", human_bytes(size), ", expected at most ", human_bytes(kMaxTensors), ".");
  return path.filename() == kPickledModelFile ? read_pytorch_file(path) : read_safetensors(path);
}

// PEFT's file: safetensors, or adapter_model.bin as written by save_pretrained(safe_serialization=False) and early
// versions.
fs::path model_file(const fs::path& folder) {
  std::error_code ignored;
  const bool is_pickled = !fs::exists(folder / kModelFile, ignored) && fs::exists(folder / kPickledModelFile, ignored);
  return folder / (is_pickled ? kPickledModelFile : kModelFile);
}

// Moves the dense weight of a small output, which follows from its own tensors, to `for_peft`.
void separate_dense_output(AdapterFolder& folder) {
  std::vector<std::string> dense;
  for (const auto& [name, tensor] : folder.tensors) {
    if (is_small_output_tensor(name)) dense.push_back(name.substr(0, name.rfind('.')) + ".weight");
  }
  NamedTensors tensors;
  tensors.metadata = folder.tensors.metadata;
  for (const auto& [name, tensor] : folder.tensors) {
    const bool is_dense = std::find(dense.begin(), dense.end(), name) != dense.end();
    (is_dense ? folder.for_peft : tensors).add(name, tensor);
  }
  folder.tensors = std::move(tensors);
}

// Whether the tensor is a projection of a method that, by its configuration, does not save them. PEFT ignores such a
// tensor and uses the projection of the seed.
bool is_unused_projection(std::string_view name, const AdapterConfig& config) {
  if (config.peft_type == PeftType::kVera)
    return !config.vera.save_projection && (name == "base_model.vera_A" || name == "base_model.vera_B");
  return config.peft_type == PeftType::kTinyLora && !config.tinylora.save_projection &&
         name.ends_with(kTinyLoraProjection);
}

std::string pretty(const Json& json) { return json_text(json, 2) + "\n"; }

}  // namespace

bool is_head_tensor(std::string_view name) {
  constexpr std::string_view kHead = "head.";
  if (!starts_with(name, kHead)) return false;
  name.remove_prefix(kHead.size());
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view rest = name.substr(digits);
  return digits > 0 && (rest == ".weight" || rest == ".bias");
}

bool is_adapter_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(path / kConfigFile, ignored);
}

AdapterFolder read_adapter_folder(const fs::path& path) {
  if (!is_adapter_folder(path))
    fail(path.string(), ": got no ", kConfigFile, " in it, expected the folder of an adapter.");
  for (const char* file : {kConfigFile, kModelFile, kPickledModelFile, kHeadFile, kMetadataFile})
    path_inside(path, file);
  AdapterFolder out;
  const std::string config_name = (path / kConfigFile).string();
  out.spec.config = parse_adapter_config(parse_json(read_file(path / kConfigFile, kMaxJson), config_name), config_name);
  if (fs::exists(path / kMetadataFile)) {
    const std::string name = (path / kMetadataFile).string();
    out.metadata = parse_metadata(parse_json(read_file(path / kMetadataFile, kMaxJson), name), name, out.spec);
  }

  const fs::path model_path = model_file(path);
  const NamedTensors model = read_tensors(model_path);
  const auto has_projection = [](const auto& entry) { return entry.first.ends_with(kTinyLoraProjection); };
  if (out.spec.config.peft_type == PeftType::kTinyLora && std::none_of(model.begin(), model.end(), has_projection))
    out.spec.config.tinylora.save_projection = false;  // PEFT uses those of the seed
  for (const auto& [name, tensor] : model) {
    if (is_unused_projection(name, out.spec.config)) continue;
    if (starts_with(name, kSharedPrefix) && is_shared_tensor(std::string_view(name).substr(kSharedPrefix.size()))) {
      out.tensors.add(name.substr(kSharedPrefix.size()), tensor);
      continue;
    }
    if (!starts_with(name, kPrefix) || is_head_tensor(std::string_view(name).substr(kPrefix.size()))) {
      fail(model_path.string(), ": got the tensor '", printable(name), "', expected names that start with ", kPrefix,
           " followed by a module of the base model.");
    }
    if (is_redundant(name, model)) continue;
    out.tensors.add(name.substr(kPrefix.size()), tensor);
  }
  const bool has_head = out.spec.head || out.spec.small_output;
  if (!has_head && fs::exists(path / kHeadFile)) {
    fail(path.string(), ": got ", kHeadFile, ", but no head in ", kMetadataFile,
         ", expected both or neither. The folder is damaged.");
  }
  if (has_head) {
    for (const auto& [name, tensor] : read_tensors(path / kHeadFile)) {
      if (!is_head_tensor(name) && !is_small_output_tensor(name)) {
        fail((path / kHeadFile).string(), ": got the tensor '", printable(name),
             "', expected names such as head.0.weight.");
      }
      out.tensors.add(name, tensor);
    }
  }
  if (out.spec.small_output) separate_dense_output(out);
  return out;
}

void check_adapter_tensors(const NamedTensors& tensors, const Adaptation& adaptation, const std::string& where) {
  const std::vector<Parameter> expected = adapter_parameters(adaptation);
  std::vector<std::string> names;
  for (const auto& parameter : expected) {
    names.push_back(parameter.name);
    const at::Tensor* tensor = tensors.find(parameter.name);
    if (tensor == nullptr)
      fail(where, ": got no tensor '", parameter.name, "', expected one of shape ", shape_text(parameter.shape), ".");
    if (tensor->sizes() != at::IntArrayRef(parameter.shape)) {
      fail(where, ": tensor '", parameter.name, "': got shape ", shape_text(tensor->sizes()), ", expected ",
           shape_text(parameter.shape), ".");
    }
    if (is_index_tensor(parameter.name)) {
      check_index_tensor(parameter.name, *tensor, adaptation.config, where);
    } else {
      checked_values(parameter, *tensor, where);
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      fail(where, ": got the unknown tensor '", printable(name), "', expected only those of its configuration.",
           did_you_mean(name, names));
    }
  }
}

void check_defined_in_peft(const AdapterFolder& folder, const Adaptation& adaptation, const std::string& where) {
  if (folder.metadata || adaptation.config.peft_type != PeftType::kOft) return;
  for (const auto& target : adaptation.targets) {
    const Node& node = adaptation.graph.node(target.node);
    if (is_same_in_peft_oft(node.op)) continue;
    fail(where, ": got OFT on ", node.name, ", a ", describe(node.op),
         ", in a folder without lorikeet.json, expected 1×1 convolutions and Linear only. On larger kernels PEFT adds "
         "up overlapping patches, which its merged weight does not; merge it with PEFT, or train it here.");
  }
}

void infer_output_classes(AdapterFolder& folder, const Graph& base) {
  const auto& output = base.node(base.output());
  const at::Tensor* weight = folder.tensors.find(output.name + ".weight");
  if (folder.metadata || weight == nullptr || weight->dim() != 2) return;
  if (weight->size(0) != std::get<Linear>(output.op).out) folder.spec.output_classes = weight->size(0);
}

void check_adapter_destination(const fs::path& path, const std::vector<fs::path>& sources) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  for (const fs::path& source : sources) {
    if (fs::equivalent(source, path, error))
      fail_usage(path.string(), ": got the folder of the adapter that is read, expected another one to write to.");
  }
  if (!fs::is_directory(path, error))
    fail(path.string(), ": got a file, expected an adapter's folder or an unused name.");
  if (is_adapter_folder(path)) return;
  const bool is_empty = fs::is_empty(path, error);
  if (error) fail(path.string(), ": cannot be read: ", error.message(), ".");
  if (!is_empty) {
    fail(path.string(),
         ": got a folder that holds other things than an adapter, expected an adapter's, an empty one, or a name that "
         "is free.");
  }
}

void write_adapter_folder(const fs::path& path, const AdapterFolder& folder) {
  check_adapter_destination(path);
  for (const auto& name : folder.metadata ? folder.metadata->classes : std::vector<std::string>{}) {
    if (!is_utf8(name))
      fail(path.string(), ": got the class name '", printable(name), "', which is not UTF-8, expected UTF-8.");
  }
  NamedTensors model;
  NamedTensors head;
  model.metadata["format"] = "pt";
  head.metadata["format"] = "pt";
  for (const auto& [name, tensor] : folder.tensors) {
    if (is_head_tensor(name) || is_small_output_tensor(name)) {
      head.add(name, tensor);
    } else {
      model.add(std::string(is_shared_tensor(name) ? kSharedPrefix : kPrefix) + name, tensor);
    }
    // PEFT does not open a fully trained BatchNorm without its counter.
    if (name.ends_with(kVariance)) {
      const std::string module = name.substr(0, name.size() - kVariance.size());
      model.add(cat(kPrefix, module, kCounter), at::zeros({}, at::kLong));
    }
  }
  for (const auto& [name, tensor] : folder.for_peft) model.add(std::string(kPrefix) + name, tensor);
  replace_folder(path, [&](const fs::path& in) {
    write_file(in / kConfigFile, pretty(adapter_config_json(folder.spec.config)));
    write_safetensors(in / kModelFile, model);
    if (!head.empty()) write_safetensors(in / kHeadFile, head);
    if (folder.metadata) write_file(in / kMetadataFile, pretty(metadata_json(folder.spec, *folder.metadata)));
    if (!folder.card.empty()) write_file(in / kCardFile, folder.card);
  });
}

std::uint64_t adapter_file_bytes(const fs::path& path) { return fs::file_size(path / kModelFile); }

}  // namespace lorikeet
