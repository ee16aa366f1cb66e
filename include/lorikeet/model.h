// A pretrained classifier with or without an adapter: load it, adapt it, train it, ask it, save the adapter, merge it,
// export it.
//
//   lorikeet::Model model = lorikeet::load("resnet50");
//   model.adapt({.target_modules = {R"(.*\.2\.conv3)"}, .head = {{512, 256}}, .classes = {"cat", "dog"}});
//   model.train("photos", {.epochs = 3});
//   model.save("cats-and-dogs");
//   auto guesses = lorikeet::load("cats-and-dogs").predict({"rex.jpg"});
//
// Every function throws lorikeet::Error (lorikeet/error.h). A Model is not thread-safe; different ones are independent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lorikeet/error.h"
#include "lorikeet/progress.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

struct LoadOptions {
  /// The base of an adapter that does not name it (one that PEFT wrote), or the model that a weights file is of.
  std::string model = {};
  /// A .pth or .safetensors file with the base weights; empty: the official ones, downloaded where they are not here
  /// yet.
  std::filesystem::path weights = {};
  DownloadCallback progress = {};
  /// Takes an adapter over other weights than those it was trained on, which is an error otherwise.
  bool force = false;
  /// A line for people where an odd weights file was read: what was chosen or left out.
  std::function<void(const std::string&)> log = {};
};

/// What is learned. The names and values are PEFT's, but for the last four.
struct AdapterOptions {
  /// The method: "LORA", "LOHA", "LOKR", "IA3" or "LN_TUNING" (docs/adapters.md).
  std::string peft_type = "LORA";
  /// Where the adapter goes. One entry is a regular expression for the whole dotted name; more are names or their
  /// endings.
  std::vector<std::string> target_modules = {};
  std::int64_t r = 8;
  double lora_alpha = 8;
  // Of LORA only.
  double lora_dropout = 0;
  bool use_dora = false;
  bool use_rslora = false;
  /// "default", "gaussian", "pissa", "olora" or "orthogonal".
  std::string init_lora_weights = "default";
  /// Biases of the base that are learned too: "none", "all" or "lora_only". "all" with no target is BitFit.
  std::string bias = "none";
  /// Modules that are retrained whole.
  std::vector<std::string> modules_to_save = {};
  /// The last Linear gets as many outputs as there are classes, and new weights.
  bool replace_output = false;
  /// Widths of the hidden Linear layers behind the network; empty: one Linear alone; absent: no head.
  std::optional<std::vector<std::int64_t>> head = std::nullopt;
  /// Names of the classes, in the order of the outputs.
  std::vector<std::string> classes = {};
  /// Of the start.
  std::uint64_t seed = 0;
};

struct TrainOptions {
  std::int64_t epochs = 1;
  std::int64_t batch_size = 64;
  /// AdamW's, constant.
  double learning_rate = 1e-3;
  /// Side in pixels to which images are resized and cropped; 0: as the weights' own evaluation does.
  int image_size = 0;
  std::uint64_t seed = 0;
  TrainCallback progress = {};
};

struct Evaluated {
  std::int64_t correct = 0;
  std::int64_t total = 0;
  /// Mean cross-entropy.
  double loss = 0;
  std::vector<std::int64_t> correct_by_class;
  std::vector<std::int64_t> total_by_class;

  double accuracy() const { return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total); }
};

struct EvaluateOptions {
  Preprocess preprocess = Preprocess::kEval;
  /// Only the first so many images; 0: all.
  std::int64_t limit = 0;
  EvaluateCallback progress = {};
  DownloadCallback download = {};
  /// A line for people: what of a folder was ignored, which classes have no images.
  std::function<void(const std::string&)> log = {};
};

struct Guess {
  std::string name;
  std::int64_t index = 0;
  /// By SoftMax.
  double probability = 0;
};

/// Row-major (rows, columns).
struct Logits {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values;
};

struct Merged {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;
  /// Layers behind the network ("head.0" …), which no plain model of torchvision or timm has; without them the file
  /// loads there strictly.
  std::vector<std::string> head;
};

struct OnnxOptions {
  /// What the model does to uint8 images (N, H, W, 3) itself: all, or the normalisation alone. Nothing: float32 (N, 3,
  /// H, W) goes in, normalised already.
  std::optional<Preprocess> preprocess = std::nullopt;
  /// The output is probabilities instead of logits.
  bool softmax = false;
  /// Height and width of the input in pixels; 0: free.
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
  bool is_adapted() const;
  /// Numbers that training changes; 0 without an adapter.
  std::int64_t trainable_parameters() const;
  /// Name of the data that the adapter was trained on; empty where nobody wrote it down.
  std::string trained_on() const;

  /// Puts a new adapter on a base model. It changes nothing until it is trained, but for a new output or head, which
  /// begin at random.
  void adapt(const AdapterOptions& options);
  /// `data` is the name of a dataset or a folder train/<class>/*.jpg|png, whose classes are those of the adapter.
  void train(const std::string& data, const TrainOptions& options = {});
  /// Over the test split of `data`, else over its val split.
  Evaluated evaluate(const std::string& data, const EvaluateOptions& options = {});

  /// For each JPEG or PNG file the `top` most probable classes, the most probable first.
  std::vector<std::vector<Guess>> predict(const std::vector<std::filesystem::path>& images, std::size_t top = 1,
                                          Preprocess preprocess = Preprocess::kEval);
  /// What the network gives before SoftMax, a row for each image.
  Logits logits(const std::vector<std::filesystem::path>& images, Preprocess preprocess = Preprocess::kEval);
  /// The `top` classes of each row.
  std::vector<std::vector<Guess>> guesses(const Logits& logits, std::size_t top) const;

  /// Writes the adapter: PEFT's folder, and beside it what PEFT does not record. Replaces one that is there.
  void save(const std::filesystem::path& folder) const;
  /// Writes the state dict of a plain torchvision or timm model, the adapter added into the weights: FILE.safetensors
  /// or FILE.pth.
  Merged merge(const std::filesystem::path& file) const;
  /// Writes an ONNX model of operator set 17 in float32, the adapter added into the weights, with the classes in its
  /// metadata.
  void export_onnx(const std::filesystem::path& file, const OnnxOptions& options = {}) const;

 private:
  friend Model load(const std::string& name, const LoadOptions& options);
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// `name` is a model's name ("resnet50"), a weights file, an adapter's folder or a run's folder.
LORIKEET_EXPORT Model load(const std::string& name, const LoadOptions& options = {});

/// Writes a safetensors file with one tensor, "logits" (rows, columns).
LORIKEET_EXPORT void save_logits(const Logits& logits, const std::filesystem::path& file);

}  // namespace lorikeet
