#include "export/adapter_card.h"

#include "adapters/adapt.h"
#include "adapters/methods.h"
#include "adapters/peft_support.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/text.h"
#include "loading/base_source.h"
#include "loading/bypassed_modules.h"
#include "loading/loaded_model.h"
#include "models/models.h"
#include "report/model_card.h"

namespace lorikeet {
namespace {

// A weights file is loaded by its name, official weights by their publisher's API. The name is untrusted and ends up in
// code that people run, so characters that could end the string are replaced.
std::string python_base(const AdapterMetadata& metadata, const ModelEntry& model) {
  if (has_weights(metadata.base_weights)) return find_weights(metadata.base_weights).python;
  const std::string file = plain_text(metadata.base_weights, "._-");
  // The card itself imports torchvision.
  const std::string import =
      model.library == Library::kTorchvision ? "" : "import " + library_name(model.library) + "\n";
  const bool is_hub = metadata.base_weights.find('/') != std::string::npos;  // ORG/NAME@COMMIT, not a folder's name
  const std::string place = "  # its place on your machine\n";
  if (!is_model_name(metadata.base_model)) return cat(import, "base = ", model.python, is_hub ? "\n" : place);
  // Only recent versions of torch.load read safetensors.
  const bool is_safetensors = file.ends_with(".safetensors");
  return cat(is_safetensors ? "import safetensors.torch\n" : "", import, "base = ", model.python,
             "\nbase.load_state_dict(", is_safetensors ? "safetensors.torch.load_file(\"" : "torch.load(\"", file,
             is_safetensors ? "\"))" : "\", weights_only=True))", place);
}

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

void put_accuracy(const Json& training, ModelCard& card) {
  for (const char* split : {"test", "validation"}) {
    const auto found = training.find(split);
    if (found == training.end() || !found->is_object()) continue;
    const auto accuracy = found->find("accuracy"), total = found->find("total");
    if (accuracy == found->end() || total == found->end() || !accuracy->is_number() || !total->is_number_integer())
      continue;
    card.split = split;
    card.accuracy = accuracy->get<double>();
    card.images = total->get<std::int64_t>();
    return;
  }
}

}  // namespace

std::string adapter_card(const AdapterFolder& folder) {
  if (!folder.metadata) return "";
  BaseSource source;
  try {
    source = find_base(choice_of_adapter(folder, "adapter", {}).model, {}, /*with_weights=*/false);
  } catch (const Error&) {
    return "";  // the base is not on this machine any more
  }
  const AdapterMetadata& metadata = *folder.metadata;
  const AdapterConfig& config = folder.spec.config;
  const ModelEntry& model = *source.entry;
  const Graph& base = source.graph;
  const Adaptation adaptation = adapt(base, folder.spec);

  ModelCard card;
  card.base_model = metadata.base_model;
  card.base_weights = metadata.base_weights;
  card.base_sha256 = metadata.base_sha256;
  card.licence = has_weights(metadata.base_weights) ? find_weights(metadata.base_weights).licence : "";
  card.method = summary(config);
  card.modules_to_save = config.modules_to_save;
  card.uses_peft = config.has_targets() || !config.modules_to_save.empty() || config.bias != TrainedBias::kNone;
  card.peft_obstacle = peft_obstacle(base, adaptation);
  card.has_lora_form = has_lora_form(base, adaptation);
  card.merges = !bypassed_modules(model, base, adaptation.targets).empty();
  card.classes = metadata.classes;
  if (folder.spec.small_output && adaptation.replaced) {
    const std::string& output = adaptation.graph.node(*adaptation.replaced).name;
    std::erase(card.modules_to_save, output);
    card.small_output = cat(output, ", ", describe(*folder.spec.small_output));
  }
  card.trainable = count_trainable(adaptation);
  if (const auto trained = metadata.training.find("trainable_parameters");
      trained != metadata.training.end() && trained->is_number_integer())
    card.trained = trained->get<std::int64_t>();
  card.bytes = folder.tensors.bytes();
  card.data = shared_data_name(text_of(metadata.training, "data"));
  put_accuracy(metadata.training, card);
  card.precision = name_of(metadata.precision);
  card.python_base = python_base(metadata, model);
  card.returns_object = model.library == Library::kTransformers;
  if (adaptation.replaced) {
    const auto& output = std::get<Linear>(adaptation.graph.node(*adaptation.replaced).op);
    card.replaced = ModelCard::Output{adaptation.graph.node(*adaptation.replaced).name, output.in, output.out};
  }
  for (std::size_t i = 0; i < adaptation.head.size(); ++i) {
    const auto& linear = std::get<Linear>(adaptation.graph.node(adaptation.head[i]).op);
    const bool has_relu = i + 1 < adaptation.head.size() && folder.spec.head->activation == Activation::kRelu;
    card.head.push_back({linear.in, linear.out, has_relu});
  }
  const Preprocessing& p = metadata.preprocessing;
  card.resize = p.resize;
  card.crop = p.crop;
  card.squash = p.squash;
  card.bgr = p.bgr;
  card.interpolation = p.interpolation == Interpolation::kBicubic ? "BICUBIC" : "BILINEAR";
  card.mean.assign(p.mean.begin(), p.mean.end());
  card.std.assign(p.std.begin(), p.std.end());
  return model_card(card);
}

void write_adapter_with_card(const std::filesystem::path& path, AdapterFolder& folder) {
  folder.card = adapter_card(folder);
  write_adapter_folder(path, folder);
}

std::uint64_t save_adapter(const std::filesystem::path& path, AdapterFolder& folder, const BaseView& base,
                           const StoredPrecision& precision) {
  if (has_adapter_file_ending(path)) return write_adapter_file(path, folder, base, precision).bytes.size();
  write_adapter_with_card(path, folder);
  return adapter_file_bytes(path);
}

}  // namespace lorikeet
