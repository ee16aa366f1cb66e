#include "report/model_card.h"

#include <doctest/doctest.h>

using namespace lorikeet;

namespace {

ModelCard sample() {
  ModelCard card;
  card.base_model = "resnet50";
  card.base_weights = "resnet50.v1";
  card.base_sha256 = "abc";
  card.method = "LoRA, r=4, lora_alpha=8";
  card.classes = {"cat", "dog"};
  card.trainable = 12345;
  card.bytes = 49380;
  card.data = "photos";
  card.split = "test";
  card.accuracy = 0.97;
  card.images = 1000;
  card.precision = "float32";
  card.python_base = "base = torchvision.models.resnet50()\n";
  card.replaced = ModelCard::Output{"fc", 2048, 2};
  card.head = {{2, 7, true}, {7, 2, false}};
  card.resize = card.crop = 28;
  card.interpolation = "BILINEAR";
  card.mean = {0.485, 0.456, 0.406};
  card.std = {0.229, 0.224, 0.225};
  return card;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a card begins with the Hub's front matter and says what there is to know") {
  const std::string text = model_card(sample());
  CHECK(text.rfind("---\nlibrary_name: peft\n", 0) == 0);
  for (const char* part :
       {"base_model: \"resnet50\"\n", "    - type: accuracy\n      value: 0.9700\n---\n",
        "# resnet50 adapted to photos\n", "2 classes: cat, dog |", "weights resnet50.v1 |", "`abc`",
        "LoRA, r=4, lora_alpha=8", "12,345 parameters", "0.9700 on 1,000 images of the test split, in float32"}) {
    CAPTURE(part);
    CHECK(has(text, part));
  }
}

TEST_CASE("a card of another form says what was trained and what is written") {
  ModelCard card = sample();
  card.trained = 3370;
  card.small_output = "fc, projected: 16, basis: output";
  const std::string text = model_card(card);
  CHECK(has(text, "| small output | fc, projected: 16, basis: output |"));
  CHECK(has(text, "| trained | 3,370 parameters |\n| written as | 12,345 parameters, "));
}

TEST_CASE("a card promises PEFT only what it opens") {
  ModelCard card = sample();
  card.peft_obstacle = "PEFT 0.21 does not have LoRA-XS (layer4.0.conv1)";
  const std::string merged = model_card(card);
  CHECK(merged.rfind("---\nlibrary_name: lorikeet\n", 0) == 0);
  CHECK(has(merged, "PEFT 0.21 does not have LoRA-XS (layer4.0.conv1). For Python, `lorikeet merge . --out"));
  CHECK_FALSE(has(merged, "PeftModel"));
  card.has_lora_form = true;
  CHECK(has(model_card(card), "`lorikeet convert . --as-lora --out ../lora`"));
}

TEST_CASE("the snippet has what the adapter needs and nothing else") {
  const std::string whole = model_card(sample());
  CHECK(has(whole, "base.fc = torch.nn.Linear(2048, 2)\nmodel = peft.PeftModel.from_pretrained(base, \".\").eval()\n"));
  CHECK(has(whole, "head.add_module(\"0_relu\", torch.nn.ReLU())\n"));
  CHECK(has(whole, "Resize(28, torchvision.transforms.InterpolationMode.BILINEAR)"));
  ModelCard plain = sample();
  plain.uses_peft = false;
  plain.replaced.reset();
  plain.head.clear();
  plain.accuracy.reset();
  plain.resize = plain.crop = 0;
  const std::string text = model_card(plain);
  for (const char* part : {"import peft", "base.fc", "head", "accuracy", "Resize", "CenterCrop"}) {
    CAPTURE(part);
    CHECK_FALSE(has(text, part));
  }
  CHECK(has(text, "model = base.eval()\n"));
  ModelCard merged = sample();
  merged.merges = true;
  CHECK(has(model_card(merged), "model = peft.PeftModel.from_pretrained(base, \".\").merge_and_unload().eval()\n"));
}

TEST_CASE("names from files break neither the table, nor the front matter, nor the page") {
  ModelCard card = sample();
  card.classes = {"a|b", "</td>\"x\"\n---", "Vögel"};
  card.data = "x\"\n- evil: `1`";
  const std::string text = model_card(card);
  CHECK(has(text, "3 classes: a_b, __td__x__---, Vögel |"));
  CHECK(has(text, "name: \"x__- evil: _1_\"\n"));
  for (int i = 0; i < 40; ++i) card.classes.push_back("more");
  CHECK(has(model_card(card), "more … |"));
}
