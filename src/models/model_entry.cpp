#include "models/model_entry.h"

#include <cmath>
#include <memory>
#include <unordered_map>

namespace lorikeet {

Graph named_for(const Graph& network, const LibraryNames& names, Library library) {
  const NameTable& table = names.tables.at(library);
  return table.empty() ? network : renamed(network, table);
}

Graph ModelEntry::build() const { return named_for(network(), names, library); }

std::function<std::string(const std::string&)> from_transformers_4(const Graph& network, const LibraryNames& names) {
  const Graph now = named_for(network, names, Library::kTransformers);
  const auto then_nodes = renamed_nodes(network, names.transformers_4);
  const auto now_nodes = renamed_nodes(network, names.tables.at(Library::kTransformers));
  const Graph then = renamed(network, names.transformers_4);
  auto translated = std::make_shared<std::unordered_map<std::string, std::string>>();
  for (std::size_t i = 0; i < now_nodes.size(); ++i) {
    for (std::size_t part = 0; part < now_nodes[i].size(); ++part) {
      const auto from = then.parameters(then_nodes[i][part]), to = now.parameters(now_nodes[i][part]);
      for (std::size_t p = 0; p < from.size(); ++p) translated->emplace(from[p].name, to[p].name);
    }
  }
  return [translated](const std::string& name) {
    const auto found = translated->find(name);
    return found == translated->end() ? name : found->second;
  };
}

std::string timm_python(const std::string& name, std::int64_t classes) {
  const std::string more = classes > 0 ? ", num_classes=" + std::to_string(classes) : "";
  return "timm.create_model(\"" + name + "\"" + more + ")";
}

Preprocessing timm_preprocessing(int size, double crop_pct, double mean_and_std) {
  Preprocessing out{
      .resize = static_cast<int>(std::floor(size / crop_pct)), .crop = size, .interpolation = Interpolation::kBicubic};
  if (mean_and_std > 0) {
    out.mean.fill(mean_and_std);
    out.std.fill(mean_and_std);
  }
  return out;
}

WeightsEntry torchvision_weights(const std::string& model, int version, const std::string& hash, bool newest,
                                 const Preprocessing& preprocessing) {
  WeightsEntry entry;
  entry.name = newest ? model : model + ".v" + std::to_string(version);
  entry.official_name = "IMAGENET1K_V" + std::to_string(version);
  entry.file_name = model + "-" + hash + ".pth";
  entry.url = "https://download.pytorch.org/models/" + entry.file_name;
  entry.sha256 = hash;
  entry.licence = "BSD-3-Clause (torchvision); trained on ImageNet";
  entry.preprocessing = preprocessing;
  entry.python = "base = torchvision.models." + model + "(weights=\"" + entry.official_name + "\")\n";
  return entry;
}

}  // namespace lorikeet
