// Several adapters over one base. Each image selects its adapter. Adapters can be added and removed without reloading
// the base: they share it and its prepared weights, so each one adds only the memory of its own tensors. Each adapter
// predicts exactly as it does as a Model, in its own precision.
//
//   lorikeet::AdapterSet adapters("resnet50");
//   adapters.add("digits", "runs/mnist");
//   adapters.add("clothes", "runs/fashion");
//   auto predictions = adapters.predict({{"7.png", "digits"}, {"boot.jpg", "clothes"}});
//
// Errors: as in lorikeet/model.h. A function that fails throws lorikeet::Error and leaves the set unchanged.
//
// Thread safety: one thread at a time may use a set. Different sets are independent.
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
  /// `base` is a model's name or folder, or a weights file, as for `load`. `options.force`, `device` and `precision`
  /// apply to every adapter that is added.
  explicit AdapterSet(const std::string& base, const LoadOptions& options = {});
  AdapterSet(AdapterSet&&) noexcept;
  AdapterSet& operator=(AdapterSet&&) noexcept;
  ~AdapterSet();

  /// `path` is the folder or file of an adapter, or the folder of a run. Throws UsageError if the name is empty or
  /// already used, and Error if the adapter belongs to another base.
  void add(const std::string& name, const std::filesystem::path& path);
  void remove(const std::string& name);
  /// Returns the names in the order in which they were added.
  std::vector<std::string> names() const;
  /// Returns the class names of the adapter.
  const std::vector<std::string>& classes(const std::string& name) const;

  struct Request {
    Image image;
    /// The adapter's name.
    std::string adapter;
  };
  /// Returns the logits of each image: one value per class of its adapter.
  std::vector<std::vector<float>> logits(const std::vector<Request>& requests);
  /// Returns the `top` most probable classes of each image, in descending order, or all classes if its adapter has
  /// fewer. `top` is 1 to the largest number of classes among the adapters in `requests`.
  std::vector<std::vector<Prediction>> predict(const std::vector<Request>& requests, std::size_t top = 1);

 private:
  struct State;
  State& state() const;

  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
