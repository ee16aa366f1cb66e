#include "train/recipe_key.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace lorikeet {
namespace {

// Names in PEFT, transformers' TrainingArguments, timm's train.py and common usage.
const std::map<std::string, std::string>& other_names() {
  static const std::map<std::string, std::string> kNames{
      {"alpha", "lora_alpha"},
      {"arch", "model"},
      {"base_model", "model"},
      {"batch", "batch_size"},
      {"bs", "batch_size"},
      {"clip_grad", "clip_grad_norm"},
      {"data_dir", "data"},
      {"dataset", "data"},
      {"dora", "use_dora"},
      {"dropout", "lora_dropout"},
      {"dtype", "precision"},
      {"epoch", "epochs"},
      {"grad_clip", "clip_grad_norm"},
      {"hflip", "random_horizontal_flip"},
      {"img_size", "image_size"},
      {"input_size", "image_size"},
      {"label_smoothing_factor", "label_smoothing"},
      {"lora_r", "r"},
      {"lora_rank", "r"},
      {"lora_target_modules", "target_modules"},
      {"lr", "learning_rate"},
      {"lr_scheduler", "schedule"},
      {"lr_scheduler_type", "schedule"},
      {"max_grad_norm", "clip_grad_norm"},
      {"model_name", "model"},
      {"model_name_or_path", "model"},
      {"num_epochs", "epochs"},
      {"num_train_epochs", "epochs"},
      {"opt", "optimizer"},
      {"optim", "optimizer"},
      {"out", "run"},
      {"output", "run"},
      {"output_dir", "run"},
      {"per_device_train_batch_size", "batch_size"},
      {"rank", "r"},
      {"resolution", "image_size"},
      {"rslora", "use_rslora"},
      {"sched", "schedule"},
      {"scheduler", "schedule"},
      {"smoothing", "label_smoothing"},
      {"targets", "target_modules"},
      {"train_batch_size", "batch_size"},
      {"warmup_ratio", "warmup"},
      {"wd", "weight_decay"},
  };
  return kNames;
}

}  // namespace

std::string meant_key(const std::string& name, const std::vector<std::string>& keys) {
  std::string plain = lowercase(name);
  std::replace(plain.begin(), plain.end(), '-', '_');
  if (std::find(keys.begin(), keys.end(), plain) != keys.end()) return plain;
  const auto& others = other_names();
  if (const auto other = others.find(plain); other != others.end()) return other->second;
  const auto near = nearest(plain, keys);
  return near.empty() ? "" : near.front();
}

}  // namespace lorikeet
