#include "report/model_card.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::size_t kShownClasses = 30;

// Makes a string safe for YAML, Markdown and Python by replacing other characters with '_'.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += (static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) != 0 ||
            std::string_view(" ._-+,()=:").find(c) != std::string_view::npos)
               ? c
               : '_';
  return out;
}

std::string tuple(const std::vector<double>& values) {
  std::ostringstream out;
  out << '(';
  for (std::size_t i = 0; i < values.size(); ++i) out << (i > 0 ? ", " : "") << values[i];
  out << ')';
  return std::move(out).str();
}

std::string front_matter(const ModelCard& card) {
  std::ostringstream out;
  out << "---\nlibrary_name: " << (card.peft_obstacle.empty() ? "peft" : "lorikeet")
      << "\npipeline_tag: image-classification\ntags:\n- image-classification\n- lorikeet\n";
  out << "base_model: \"" << plain(card.base_model) << "\"\n";
  if (card.accuracy) {
    out << "metrics:\n- accuracy\nmodel-index:\n- name: \"" << plain(card.base_model + " on " + card.data)
        << "\"\n  results:\n  - task:\n      type: image-classification\n"
        << "    dataset:\n      name: \"" << plain(card.data) << "\"\n      type: \"" << plain(card.data)
        << "\"\n      split: " << card.split
        << "\n    metrics:\n    - type: accuracy\n      value: " << fixed(*card.accuracy, 4) << '\n';
  }
  out << "---\n";
  return std::move(out).str();
}

std::string facts(const ModelCard& card) {
  std::ostringstream out;
  std::vector<std::string> shown(card.classes.begin(), card.classes.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                                  kShownClasses, card.classes.size())));
  out << "| | |\n|---|---|\n| task | image classification, " << counted(card.classes.size(), "class") << ": "
      << plain(join(shown, ", ")) << (card.classes.size() > kShownClasses ? " …" : "") << " |\n| base | "
      << plain(card.base_model) << (card.base_weights == card.base_model ? "" : ", weights " + plain(card.base_weights))
      << " |\n| SHA-256 of the base | `" << card.base_sha256 << "` over names, shapes and values |\n| method | "
      << plain(card.method) << " |\n";
  if (!card.modules_to_save.empty()) out << "| trained in full | " << plain(join(card.modules_to_save, ", ")) << " |\n";
  if (!card.small_output.empty()) out << "| small output | " << plain(card.small_output) << " |\n";
  if (!card.head.empty()) out << "| head after the network | " << counted(card.head.size(), "Linear layer") << " |\n";
  if (card.trained != 0 && card.trained != card.trainable)
    out << "| trained | " << counted(card.trained, "parameter") << " |\n| written as | ";
  else
    out << "| trained | ";
  out << counted(card.trainable, "parameter") << ", " << human_bytes(card.bytes) << " |\n";
  if (!card.data.empty()) out << "| data | " << plain(card.data) << " |\n";
  if (card.accuracy) {
    out << "| accuracy | " << fixed(*card.accuracy, 4) << " on " << counted(card.images, "image") << " of the "
        << card.split << " split, in " << card.precision << " |\n";
  }
  if (!card.licence.empty()) out << "| licence of the base | " << plain(card.licence) << " |\n";
  return std::move(out).str();
}

// "classifier.1" → "classifier[1]": a number is a place in a torch.nn.Sequential.
std::string python_attribute(const std::string& module) {
  std::string out;
  for (std::size_t begin = 0; begin < module.size();) {
    const std::size_t end = std::min(module.find('.', begin), module.size());
    const std::string part = module.substr(begin, end - begin);
    const bool is_number = part.find_first_not_of("0123456789") == std::string::npos;
    out += is_number ? "[" + part + "]" : "." + part;
    begin = end + 1;
  }
  return out;
}

std::string python(const ModelCard& card) {
  std::ostringstream out;
  out << "```python\nimport PIL.Image, PIL.ImageOps\n";
  if (card.uses_peft) out << "import peft\n";
  if (!card.head.empty()) out << "import safetensors.torch\n";
  out << "import torch, torchvision\n\n";
  out << card.python_base;
  if (card.replaced)
    out << "base" << python_attribute(card.replaced->module) << " = torch.nn.Linear(" << card.replaced->in << ", "
        << card.replaced->out << ")\n";
  if (card.merges) out << "# Merged because the model reads weights of adapted modules without calling the modules.\n";
  const std::string opened = "peft.PeftModel.from_pretrained(base, \".\")";
  out << "model = " << (card.uses_peft ? opened : "base") << (card.merges ? ".merge_and_unload()" : "") << ".eval()\n";
  if (!card.head.empty()) {
    out << "head = torch.nn.Sequential()\n";
    for (std::size_t i = 0; i < card.head.size(); ++i) {
      out << "head.add_module(\"" << i << "\", torch.nn.Linear(" << card.head[i].in << ", " << card.head[i].out
          << "))\n";
      if (card.head[i].relu_after) out << "head.add_module(\"" << i << "_relu\", torch.nn.ReLU())\n";
    }
    out << "head.load_state_dict({k.removeprefix(\"head.\"): v for k, v in "
           "safetensors.torch.load_file(\"head.safetensors\").items()})\n";
    if (!card.returns_object) out << "model = torch.nn.Sequential(model, head).eval()\n";
  }
  out << "prepare = torchvision.transforms.Compose([\n";
  if (card.resize > 0) {
    const std::string size = std::to_string(card.resize);
    out << "    torchvision.transforms.Resize(" << (card.squash ? "(" + size + ", " + size + ")" : size)
        << ", torchvision.transforms.InterpolationMode." << card.interpolation << "),\n";
  }
  if (card.crop > 0) out << "    torchvision.transforms.CenterCrop(" << card.crop << "),\n";
  out << "    torchvision.transforms.ToTensor(),\n";
  if (card.bgr) out << "    lambda image: image.flip(0),\n";
  out << "    torchvision.transforms.Normalize(" << tuple(card.mean) << ", " << tuple(card.std) << "),\n])\n"
      << "\nimage = PIL.ImageOps.exif_transpose(PIL.Image.open(\"image.png\")).convert(\"RGB\")\n"
      << "with torch.inference_mode():\n    logits = model(prepare(image)[None])"
      << (card.returns_object ? ".logits" : "") << "\n";
  if (card.returns_object && !card.head.empty()) out << "    logits = head(logits)\n";
  out << "```\n";
  return std::move(out).str();
}

}  // namespace

std::string model_card(const ModelCard& card) {
  std::ostringstream out;
  out << front_matter(card) << "\n# " << plain(card.base_model)
      << (card.data.empty() ? ", adapted" : " adapted to " + plain(card.data)) << "\n\n"
      << facts(card) << "\n## Use it\n\nIn this folder, with Lorikeet:\n\n```sh\nlorikeet predict . image.png\n```\n\n";
  if (card.peft_obstacle.empty()) {
    out << "or in Python, with PEFT 0.21 and torchvision:\n\n" << python(card);
  } else {
    out << plain(card.peft_obstacle) << ". For Python, "
        << (card.has_lora_form
                ? "`lorikeet convert . --as-lora --out ../lora` writes the same as LoRA, which PEFT opens.\n"
                : "`lorikeet merge . --out ../model.pth` writes the whole model for PyTorch.\n");
  }
  return std::move(out).str();
}

}  // namespace lorikeet
