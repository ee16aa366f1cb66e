// Several adapters over one base, of which every image may use another: added, removed and switched between without
// loading the base again. They share the base and what is made of it to run it: each costs the memory of its own
// tensors. Each gives the answers that it gives as a Model, in its own precision.
//
//   lorikeet::AdapterSet adapters("resnet50");
//   adapters.add("digits", "runs/mnist");
//   adapters.add("clothes", "runs/fashion");
//   auto predictions = adapters.predict({{"7.png", "digits"}, {"boot.jpg", "clothes"}});
//
// Errors are those of a Model (lorikeet/model.h): a function that fails throws lorikeet::Error and leaves the set as it
// was. Thread safety: a set is for one thread at a time; different sets are independent.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lorikeet/export.h"
#include "lorikeet/image.h"
#include "lorikeet/model.h"

namespace lorikeet {

class LORIKEET_EXPORT AdapterSet {
 public:
  /// The base, as `load` takes it: a model's name or folder or a weights file. `options.force`, `device` and
  /// `precision` are for every adapter that is added.
  explicit AdapterSet(const std::string& base, const LoadOptions& options = {});
  AdapterSet(AdapterSet&&) noexcept;
  AdapterSet& operator=(AdapterSet&&) noexcept;
  ~AdapterSet();

  /// `folder` is an adapter's or a run's. Throws UsageError where the name is taken or empty, Error where the adapter
  /// is of another base.
  void add(const std::string& name, const std::filesystem::path& folder);
  void remove(const std::string& name);
  /// In the order in which they were added.
  std::vector<std::string> names() const;
  /// Of the outputs of that adapter.
  const std::vector<std::string>& classes(const std::string& name) const;

  struct Request {
    Image image;
    /// Name of the adapter.
    std::string adapter;
  };
  /// What each image's adapter gives before SoftMax: as many values as that adapter has classes.
  std::vector<std::vector<float>> logits(const std::vector<Request>& requests);
  /// For each image the `top` most probable classes of its adapter, the most probable first; all where an adapter has
  /// fewer. `top`: 1 to the largest number of classes among the adapters asked.
  std::vector<std::vector<Prediction>> predict(const std::vector<Request>& requests, std::size_t top = 1);

 private:
  struct State;
  State& state() const;

  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
