// The model card of an adapter: README.md in its folder, with front matter for the Hugging Face Hub and instructions
// for loading it with Lorikeet and in Python.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lorikeet {

struct ModelCard {
  std::string base_model;    // "resnet50"
  std::string base_weights;  // "resnet50.v1", or the name of a file
  std::string base_sha256;
  std::string licence;    // of the weights; empty: unknown
  std::string method;     // "LoRA, r=8, lora_alpha=16"
  bool uses_peft = true;  // whether PEFT is needed to load it
  /// Why PEFT 0.21 does not open it, "PEFT 0.21 does not have LoRA-XS"; empty if it does.
  std::string peft_obstacle;
  bool has_lora_form = false;  // whether 'lorikeet convert --as-lora' writes it as LoRA
  bool merges = false;         // whether it has no effect in PEFT until it is merged
  std::vector<std::string> modules_to_save;
  std::vector<std::string> classes;
  std::string small_output;  // "fc, projected: 16"; empty: none
  std::int64_t trainable = 0;
  std::int64_t trained = 0;  // what was trained, if that is another number; 0: `trainable`
  std::uint64_t bytes = 0;   // size of the tensors

  std::string data;
  std::string split;  // split of the accuracy: "test", "validation" or empty
  std::optional<double> accuracy;
  std::int64_t images = 0;  // number of images in that split
  std::string precision;

  // Python statements that create `base`, the PyTorch module with the base weights.
  std::string python_base;
  bool returns_object = false;  // whether `base` returns its logits in an object, as transformers' models do
  /// Number of inputs and outputs of the replaced output layer.
  struct Output {
    std::string module;
    std::int64_t in = 0, out = 0;
  };
  std::optional<Output> replaced;
  struct HeadLayer {
    std::int64_t in = 0, out = 0;
    bool relu_after = false;
  };
  std::vector<HeadLayer> head;
  int resize = 0, crop = 0;
  bool squash = false;        // the resize gives a square
  bool bgr = false;           // the network reads B, G, R
  std::string interpolation;  // "BILINEAR"
  std::vector<double> mean, std;
};

std::string model_card(const ModelCard& card);

}  // namespace lorikeet
