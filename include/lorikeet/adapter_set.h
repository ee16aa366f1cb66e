// Several adapters over one base, of which every image may use another: added, removed and switched between without
// loading the base again. They share the base and what is made of it to run it: each costs the memory of its own tensors.
//
//   lorikeet::AdapterSet adapters("resnet50");
//   adapters.add("digits", "runs/mnist");
//   adapters.add("clothes", "runs/fashion");
//   auto guesses = adapters.predict({{"7.png", "digits"}, {"boot.jpg", "clothes"}});
//
// Every function throws lorikeet::Error (lorikeet/error.h). Not thread-safe.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lorikeet/model.h"

namespace lorikeet {

class LORIKEET_EXPORT AdapterSet {
 public:
  /// The base, as `load` takes it: a model's name or a weights file.
  explicit AdapterSet(const std::string& base, const LoadOptions& options = {});
  AdapterSet(AdapterSet&&) noexcept;
  AdapterSet& operator=(AdapterSet&&) noexcept;
  ~AdapterSet();

  /// `folder` is an adapter's or a run's. Throws where the name is taken, or where the adapter is of another base.
  void add(const std::string& name, const std::filesystem::path& folder);
  void remove(const std::string& name);
  /// In the order in which they were added.
  std::vector<std::string> names() const;
  const std::vector<std::string>& classes(const std::string& name) const;

  struct Request {
    std::filesystem::path image;
    std::string adapter;
  };
  /// What each image's adapter gives before SoftMax; rows may differ in length.
  std::vector<std::vector<float>> logits(const std::vector<Request>& requests);
  /// For each image its adapter's `top` most probable classes, the most probable first.
  std::vector<std::vector<Guess>> predict(const std::vector<Request>& requests, std::size_t top = 1);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
