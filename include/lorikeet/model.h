// A pretrained classifier with or without an adapter: load, adapt, train, evaluate, predict, save, merge, export.
//
//   lorikeet::Model model = lorikeet::load("resnet50");
//   model.adapt({.target_modules = R"(.*\.2\.conv3)", .head = {{512, 256}}, .classes = {"cat", "dog"}});
//   model.train({.data = {.name = "photos"}, .loop = {.epochs = 3}});
//   model.save("cats-and-dogs");
//   auto predictions = lorikeet::load("cats-and-dogs").predict({"rex.jpg"});
//
// Errors: a function that fails throws lorikeet::Error (lorikeet/error.h), or UsageError if its arguments are invalid.
// An exception from a callback propagates unchanged. In every case the model is unchanged, and files are written
// completely or not at all.
//
// Thread safety: one thread at a time may use a Model. Different models are independent. All use libtorch's thread
// pool, whose size is set per process (at::set_num_threads, OMP_NUM_THREADS).
//
// A moved-from model can only be destroyed or assigned to. Any other use throws UsageError.
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
  /// Model name of a weights file, or of an adapter that does not record its base (one that PEFT wrote).
  std::string model = {};
  /// A .pth or .safetensors file with the base weights. Empty: the official weights, downloaded if not present.
  std::filesystem::path weights = {};
  Device device = Device::kCpu;
  /// By default the adapter's precision, or float32 without an adapter. kInt8 requires an adapter that was trained in
  /// int8.
  std::optional<Precision> precision = std::nullopt;
  /// Names of the outputs, which replace the model's own. Needed to name the classes of an adapter that PEFT wrote.
  std::vector<std::string> classes = {};
  /// Accepts base weights other than those the adapter was trained on, which is otherwise an error.
  bool force = false;
  DownloadCallback download = {};
  /// Receives a message for each choice made in reading an unusual weights file, and for each tensor ignored.
  LogCallback log = {};
};

struct EvaluateOptions {
  Preprocess preprocess = Preprocess::kEval;
  /// Evaluate only this many images, of each class in proportion, always the same ones; 0: all.
  std::int64_t limit = 0;
  EvaluateCallback progress = {};
  /// The same while images are checked before, for an adapter that was trained with BadImages::kSkip.
  EvaluateCallback check_progress = {};
  DownloadCallback download = {};
  /// Receives a message about ignored parts of a folder and classes without images.
  LogCallback log = {};
};

struct Prediction {
  /// Name of the class.
  std::string label;
  /// Index of the output.
  std::int64_t index = 0;
  /// In [0, 1]: softmax over all classes.
  double probability = 0;
};

/// Logits, row-major (rows, columns): one row per image, one column per class.
struct Logits {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values;
};

struct MergeResult {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;
  /// Names of the layers of the added head ("head.0" …), which plain models do not have. If empty, the file loads there
  /// with strict=True.
  std::vector<std::string> head;
};

struct MergeOptions {
  /// Whose names the tensors have: "torchvision", "timm" or "transformers". Empty: those of the model's own library.
  std::string names = {};
};

struct OnnxOptions {
  /// Preprocessing included in the model, whose input is then uint8 (N, H, W, 3): everything, or only normalisation.
  /// Absent: the input is float32 (N, 3, H, W), already normalised.
  std::optional<Preprocess> preprocess = std::nullopt;
  /// Output probabilities instead of logits.
  bool softmax = false;
  /// Fixed height and width of the input in pixels, at most 4096. 0: dynamic.
  std::int64_t size = 0;
};

class LORIKEET_EXPORT Model {
 public:
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// For example "resnet50".
  const std::string& name() const;
  /// One name per output.
  const std::vector<std::string>& classes() const;
  Device device() const;
  /// Precision of prediction and evaluation; never kAuto.
  Precision precision() const;
  bool is_adapted() const;
  /// Number of trainable parameters; 0 without an adapter.
  std::int64_t trainable_parameters() const;
  /// Name of the data that the adapter was trained on; of images in a folder, its path if the adapter is in its run's
  /// folder, otherwise the folder's name. Empty if not recorded.
  std::string trained_on() const;

  /// Adds a new adapter to a base model. Outputs stay the same until the adapter is trained, unless it adds a head or
  /// replaces the output layer, which are initialised randomly.
  void adapt(const AdapterOptions& options);

  /// Trains the adapter. `options.data.name` is the name of a dataset or a folder train/<class>/*.jpg|png with the
  /// model's classes. The model adopts the device, precision and preprocessing of the training.
  TrainReport train(const TrainingOptions& options, const TrainCallbacks& callbacks = {});

  /// Evaluates on the test split of `data` (the name of a dataset or a folder), or on its val split if it has no test
  /// split. A model without class names, such as an adapter that PEFT wrote, takes those of the data.
  EvaluationResult evaluate(const std::string& data, const EvaluateOptions& options = {});

  /// Returns the `top` most probable classes of each image, in descending order. `top` is 1 to the number of classes.
  std::vector<std::vector<Prediction>> predict(const std::vector<Image>& images, std::size_t top = 1,
                                               Preprocess preprocess = Preprocess::kEval);
  /// Returns one row of logits per image.
  Logits logits(const std::vector<Image>& images, Preprocess preprocess = Preprocess::kEval);
  /// Returns the `top` most probable classes of each row. Values must be finite, and columns must equal the number of
  /// classes.
  std::vector<std::vector<Prediction>> predictions(const Logits& logits, std::size_t top = 1) const;

  /// Writes the adapter as a PEFT folder, with additional files for what PEFT does not record; or, if the name ends in
  /// .lorikeet, as one small file with everything that prediction needs except the base. `precision` is that of the
  /// file's learned tensors; a folder is in float32. Replaces an existing adapter.
  void save(const std::filesystem::path& path, FilePrecision precision = FilePrecision::kFloat32) const;
  /// Merges the adapter into the weights and writes the state dict of a plain model of torchvision, timm or
  /// transformers in float32. `file` ends in .safetensors or .pth.
  MergeResult merge(const std::filesystem::path& file, const MergeOptions& options = {}) const;
  /// Merges the adapter into the weights and writes a float32 ONNX model (opset 17), with the class names in its
  /// metadata.
  void export_onnx(const std::filesystem::path& file, const OnnxOptions& options = {}) const;

 private:
  friend LORIKEET_EXPORT Model load(const std::string& name, const LoadOptions& options);
  struct State;
  explicit Model(std::unique_ptr<State> state);
  State& state() const;

  std::unique_ptr<State> state_;
};

/// `name` is a model's name ("resnet50"), a model folder of transformers or timm, ORG/NAME of the Hugging Face Hub, a
/// weights file, the folder or file (NAME.lorikeet) of an adapter, or the folder of a run.
LORIKEET_EXPORT Model load(const std::string& name, const LoadOptions& options = {});

/// Writes a safetensors file with one tensor, "logits" (rows, columns).
LORIKEET_EXPORT void save_logits(const Logits& logits, const std::filesystem::path& file);

}  // namespace lorikeet
