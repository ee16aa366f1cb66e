// A pretrained classifier with or without an adapter: load, adapt, train, evaluate, predict, save, merge, export.
//
//   lorikeet::Model model = lorikeet::load("resnet50");
//   model.adapt({.target_modules = R"(.*\.2\.conv3)", .head = {{512, 256}}, .classes = {"cat", "dog"}});
//   model.train({.data = {.name = "photos"}, .loop = {.epochs = 3}});
//   model.save("cats-and-dogs");
//   auto predictions = lorikeet::load("cats-and-dogs").predict({"rex.jpg"});
//
// Errors: a function that fails throws lorikeet::Error (lorikeet/error.h), or UsageError where its arguments are wrong,
// and nothing else; only what a callback throws leaves the function unchanged. Whatever is thrown, the model is as it
// was before the call, and files are written completely or not at all.
//
// Thread safety: a Model is for one thread at a time. Different models are independent. Each computes on libtorch's
// threads, whose number is the process's (at::set_num_threads, OMP_NUM_THREADS).
//
// A model that was moved from can be assigned to and destroyed; every other use of it throws UsageError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lorikeet/adapter_options.h"
#include "lorikeet/compute.h"
#include "lorikeet/error.h"
#include "lorikeet/evaluation.h"
#include "lorikeet/export.h"
#include "lorikeet/image.h"
#include "lorikeet/progress.h"
#include "lorikeet/train.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

struct LoadOptions {
  /// The base of an adapter that does not name it (one that PEFT wrote), or the model that a weights file is of.
  std::string model = {};
  /// A .pth or .safetensors file with the base weights; empty: the official ones, downloaded where they are not here
  /// yet.
  std::filesystem::path weights = {};
  /// Where the network runs.
  Device device = Device::kCpu;
  /// In which precision. By default that of the adapter, and float32 without one. kInt8 needs an adapter that was
  /// trained in int8.
  std::optional<Precision> precision = std::nullopt;
  /// Accepts an adapter over other weights than those it was trained on, which is an error otherwise.
  bool force = false;
  DownloadCallback download = {};
  /// Called with a line for people about what was chosen or left out of an unusual weights file.
  LogCallback log = {};
};

struct EvaluateOptions {
  Preprocess preprocess = Preprocess::kEval;
  /// Only the first images; 0: all.
  std::int64_t limit = 0;
  EvaluateCallback progress = {};
  DownloadCallback download = {};
  /// Called with a line for people about ignored parts of a folder, and classes without images.
  LogCallback log = {};
};

struct Prediction {
  /// Name of the class.
  std::string label;
  /// Its index among the outputs.
  std::int64_t index = 0;
  /// From 0 to 1, by SoftMax over all classes.
  double probability = 0;
};

/// Outputs of a network before SoftMax, row-major (rows, columns): a row for each image, a column for each class.
struct Logits {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values;
};

struct MergeResult {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;
  /// Layers after the network ("head.0" …), which no plain model of torchvision or timm has; without them the file
  /// loads there strictly.
  std::vector<std::string> head;
};

struct OnnxOptions {
  /// What the model does to uint8 images (N, H, W, 3) itself: everything, or the normalisation alone. Absent: the input
  /// is float32 (N, 3, H, W), normalised already.
  std::optional<Preprocess> preprocess = std::nullopt;
  /// The output is probabilities instead of logits.
  bool softmax = false;
  /// Fixed height and width of the input in pixels, at most 4096; 0: any.
  std::int64_t size = 0;
};

class LORIKEET_EXPORT Model {
 public:
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// "resnet50".
  const std::string& name() const;
  /// As many as there are outputs.
  const std::vector<std::string>& classes() const;
  Device device() const;
  /// In which it predicts and evaluates; never kAuto.
  Precision precision() const;
  bool is_adapted() const;
  /// Number of parameters that training changes; 0 without an adapter.
  std::int64_t trainable_parameters() const;
  /// Name of the data that the adapter was trained on; empty where it is not recorded.
  std::string trained_on() const;

  /// Adds a new adapter to a base model. Until it is trained it changes nothing, but for a new output or head, which
  /// start at random.
  void adapt(const AdapterOptions& options);

  /// Trains the adapter. `options.data.name` is the name of a dataset or a folder train/<class>/*.jpg|png, whose
  /// classes are the model's. The model keeps the device, precision and preprocessing of the training.
  TrainReport train(const TrainingOptions& options, const TrainCallbacks& callbacks = {});

  /// Evaluates on the test split of `data`, a dataset's name or a folder, else on its val split.
  EvaluationResult evaluate(const std::string& data, const EvaluateOptions& options = {});

  /// For each image its `top` most probable classes, the most probable first. `top`: 1 to the number of classes.
  std::vector<std::vector<Prediction>> predict(const std::vector<Image>& images, std::size_t top = 1,
                                               Preprocess preprocess = Preprocess::kEval);
  /// A row for each image.
  Logits logits(const std::vector<Image>& images, Preprocess preprocess = Preprocess::kEval);
  /// The `top` most probable classes of each row. The values must be finite, with as many columns as there are classes.
  std::vector<std::vector<Prediction>> predictions(const Logits& logits, std::size_t top = 1) const;

  /// Writes the adapter: PEFT's folder with files for what PEFT does not record. Replaces an adapter that is there.
  void save(const std::filesystem::path& folder) const;
  /// Writes the state dict of a plain torchvision or timm model in float32, the adapter added into the weights:
  /// FILE.safetensors or FILE.pth.
  MergeResult merge(const std::filesystem::path& file) const;
  /// Writes an ONNX model of operator set 17 in float32, the adapter added into the weights, with the classes in its
  /// metadata.
  void export_onnx(const std::filesystem::path& file, const OnnxOptions& options = {}) const;

 private:
  friend LORIKEET_EXPORT Model load(const std::string& name, const LoadOptions& options);
  struct State;
  explicit Model(std::unique_ptr<State> state);
  State& state() const;

  std::unique_ptr<State> state_;
};

/// `name` is a model's name ("resnet50"), the folder of a model that transformers or timm saved, ORG/NAME of the
/// Hugging Face Hub, a weights file, an adapter's folder or a run's folder.
LORIKEET_EXPORT Model load(const std::string& name, const LoadOptions& options = {});

/// Writes a safetensors file with one tensor, "logits" (rows, columns).
LORIKEET_EXPORT void save_logits(const Logits& logits, const std::filesystem::path& file);

}  // namespace lorikeet
