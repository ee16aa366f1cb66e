// A network of four layers and a dataset that it learns in a few steps, without files or downloads.
#pragma once

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "data/made_dataset.h"
#include "engine/executor.h"
#include "engine/network.h"
#include "train/recipe.h"

constexpr std::int64_t kClasses = 3;
constexpr std::int64_t kSide = 8;

/// Normalises only: images are kSide × kSide, which a crop to that size leaves as they are.
inline const lorikeet::Preprocessing kAsTheyAre{.resize = 0, .crop = static_cast<int>(kSide)};

/// The same numbers each time, without a pattern, in ±scale.
inline at::Tensor scattered(at::IntArrayRef shape, double scale, double phase) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return ((at::arange(count, at::kDouble) * 1.7 + phase).square().sin() * scale).to(at::kFloat).reshape(shape);
}

/// Image i is of class i % 3: noise, brighter in the channel of its class. `first` is where its numbers begin.
inline std::shared_ptr<const MadeDataset> coloured(std::int64_t size, std::int64_t first = 0) {
  return std::make_shared<MadeDataset>(size, kClasses, [first](std::int64_t i) {
    at::Tensor image = scattered({3, kSide, kSide}, 60, static_cast<double>(first + i)) + 100;
    image[i % kClasses] += 60;
    return lorikeet::Sample{image.to(at::kByte), i % kClasses};
  });
}

/// conv1 frozen, conv2 with LoRA, fc replaced and retrained.
struct SmallModel {
  lorikeet::Adaptation adaptation;
  lorikeet::Network network;
  std::unique_ptr<lorikeet::Executor> executor = lorikeet::make_plain_executor(network, {});

  explicit SmallModel(std::uint64_t seed = 0)
      : adaptation(adapted()), network(adaptation, weights(adaptation.graph), seed) {
    at::set_num_threads(1);  // on so little work threads only wait for each other
  }
  SmallModel(const SmallModel&) = delete;

  static lorikeet::AdapterSpec spec() {
    lorikeet::AdapterSpec out;
    out.config.r = 2;
    out.config.target_modules = std::vector<std::string>{"conv2"};
    out.config.modules_to_save = {"fc"};
    out.output_classes = kClasses;
    return out;
  }
  static lorikeet::Adaptation adapted() { return adapted(spec()); }
  static lorikeet::Adaptation adapted(const lorikeet::AdapterSpec& spec) {
    lorikeet::Graph graph;
    auto x = graph.add("input", lorikeet::Input{3}, {});
    x = graph.add("conv1", lorikeet::Conv2d{.in = 3, .out = 8, .kernel = {3, 3}, .padding = {1, 1}, .bias = true}, {x});
    x = graph.add("relu1", lorikeet::Relu{}, {x});
    x = graph.add("conv2", lorikeet::Conv2d{.in = 8, .out = 8, .kernel = {3, 3}}, {x});
    x = graph.add("relu2", lorikeet::Relu{}, {x});
    x = graph.add("pool", lorikeet::GlobalAvgPool{}, {x});
    graph.add("fc", lorikeet::Linear{8, 10}, {x});
    return adapt(graph, spec);
  }
  static lorikeet::NamedTensors weights(const lorikeet::Graph& graph) {
    lorikeet::NamedTensors out;
    double phase = 0;
    for (const auto& parameter : graph.parameters()) out.add(parameter.name, scattered(parameter.shape, 0.4, phase++));
    return out;
  }
  /// A copy of what is learned.
  std::vector<at::Tensor> learned() const {
    std::vector<at::Tensor> out;
    for (const auto& [name, tensor] : network.trainable()) out.push_back(tensor.detach().clone());
    return out;
  }
};

inline bool same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  bool out = a.size() == b.size();
  for (std::size_t i = 0; out && i < a.size(); ++i) out = at::equal(a[i], b[i]);
  return out;
}

/// What suits it.
inline lorikeet::Recipe small_recipe() {
  lorikeet::Recipe recipe;
  recipe.loop.batch_size = 8;
  recipe.loop.epochs = 5;
  recipe.optimizer.learning_rate = 0.05;
  return recipe;
}
