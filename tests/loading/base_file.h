// Weights files of a real model with random values, and an adapter for them.
#pragma once

#include <filesystem>
#include <string>

#include "adapters/adapter_folder.h"
#include "engine/network.h"
#include "graph/small_graphs.h"
#include "io/safetensors.h"
#include "loading/loaded_model.h"
#include "models/models.h"

inline constexpr const char* kModel = "efficientnet_lite0";

inline void write_base(const std::filesystem::path& path, std::uint64_t seed) {
  lorikeet::write_safetensors(path, lorikeet::random_weights(lorikeet::find_model(kModel).build(), seed));
}

/// LoRA that was moved from its start, in the folder `path`, trained on `weights`.
inline void write_adapter(const std::filesystem::path& path, const std::filesystem::path& weights,
                          lorikeet::Precision precision = lorikeet::Precision::kFloat32) {
  using namespace lorikeet;
  const BaseModel base = load_base_model({kModel, weights}, {});
  AdapterFolder folder;
  folder.spec.config.target_modules = std::string("conv_head");
  Network network(adapt(base.graph, folder.spec), base.weights, /*seed=*/1);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : network.trainable()) tensor.fill_(0.02);
  }
  folder.metadata = AdapterMetadata{kModel, base.weights_name, base.sha256.get(), {}, base.preprocessing, precision};
  folder.tensors = network.saved_adapter().tensors;
  write_adapter_folder(path, folder);
}
