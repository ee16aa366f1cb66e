#include "lorikeet/model.h"

#include <ATen/Context.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "api/fixture.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

TEST_CASE("load: a weights file, and what it is") {
  const Model model = Fixture::get().base();
  CHECK(model.name() == "resnet18");
  CHECK(model.classes().size() == 1000);
  CHECK_FALSE(model.is_adapted());
  CHECK(model.trainable_parameters() == 0);
  CHECK(model.trained_on() == "");
  CHECK(model.device() == Device::kCpu);
  CHECK(model.precision() == Precision::kFloat32);
  CHECK(load(Fixture::get().weights().string()).name() == "resnet18");  // by its shapes
}

TEST_CASE("load: an adapter, and what it is") {
  const Model model = Fixture::get().trained();
  CHECK(model.name() == "resnet18");
  CHECK(model.classes() == (std::vector<std::string>{"blue", "red"}));
  CHECK(model.is_adapted());
  CHECK(model.trainable_parameters() == 2 * (2 * 512 * 9 + 512 * 2) + 2 * 512 + 2);
  CHECK(model.trained_on() == Fixture::get().images().filename().string());
}

TEST_CASE("load refuses") {
  const Fixture& fixture = Fixture::get();
  CHECK(refusal<UsageError>([] { load("resnet1"); }) == has("resnet1"));
  CHECK(refusal([] { load(""); }) != "no error");
  CHECK(refusal([] { load("/nonexistent/adapter"); }) == has("/nonexistent/adapter: not found, expected"));
  CHECK(refusal([&] { load(fixture.images().string()); }) == has("without adapter_config.json"));
  CHECK(refusal([&] { load(fixture.image(0).string()); }) != "no error");
  CHECK(refusal([&] { load(fixture.weights().string(), {.model = "resnet50"}); }) != "no error");
  CHECK(refusal([&] { load(fixture.adapter().string(), {.weights = fixture.other_weights()}); }) ==
        has("The adapter was trained on another base"));
  CHECK(load(fixture.adapter().string(), {.weights = fixture.other_weights(), .force = true}).is_adapted());
}

TEST_CASE("load: device and precision") {
  const Fixture& fixture = Fixture::get();
  const std::string weights = fixture.weights().string();
  CHECK(load(weights, {.precision = Precision::kBFloat16}).precision() == Precision::kBFloat16);
  const Precision automatic = load(weights, {.precision = Precision::kAuto}).precision();
  CHECK((automatic == Precision::kBFloat16 || automatic == Precision::kFloat32));
  CHECK(refusal<UsageError>([&] { load(weights, {.precision = Precision::kInt8}); }) ==
        has("precision: got int8 for a network without activation ranges"));
  CHECK(refusal<UsageError>([&] {
          load(fixture.adapter().string(), {.weights = weights, .precision = Precision::kInt8});
        }) == has("precision: got int8"));
  if (!at::hasCUDA()) {
    CHECK(refusal<UsageError>([&] { load(weights, {.device = Device::kCuda}); }) ==
          has("device: got cuda, expected cpu"));
  }
  // Another precision, the same network.
  Model single = fixture.trained();
  Model half = load(fixture.adapter().string(), {.weights = weights, .precision = Precision::kBFloat16});
  const auto a = single.logits({fixture.image(0)}).values, b = half.logits({fixture.image(0)}).values;
  CHECK(a != b);
  CHECK(largest_difference(a, b) < 0.1 * (1 + std::abs(a[0])));
}

TEST_CASE("a model that was moved from says so, whatever is asked") {
  Model model = Fixture::get().base();
  const Model taken = std::move(model);
  CHECK(taken.name() == "resnet18");
  const std::vector<std::function<void()>> calls{
      [&] { model.name(); },
      [&] { model.classes(); },
      [&] { model.device(); },
      [&] { model.precision(); },
      [&] { model.is_adapted(); },
      [&] { model.trainable_parameters(); },
      [&] { model.trained_on(); },
      [&] { model.adapt(Fixture::adapter_options()); },
      [&] { model.train(Fixture::get().training()); },
      [&] { model.evaluate(Fixture::get().images().string()); },
      [&] { model.predict({Fixture::get().image(0)}); },
      [&] { model.logits({Fixture::get().image(0)}); },
      [&] {
        model.predictions({1, 2, {0, 0}});
      },
      [&] { model.save("/nonexistent/x"); },
      [&] { model.merge("/nonexistent/x.pth"); },
      [&] { model.export_onnx("/nonexistent/x.onnx"); },
  };
  for (const auto& call : calls) CHECK(refusal<UsageError>(call) == has("model: got one that was moved from"));
  model = Fixture::get().base();
  CHECK(model.name() == "resnet18");
}

TEST_CASE("adapt: a pattern is a regular expression, a list is names and endings, as in PEFT") {
  const auto trainable = [](ModuleSelector selector) {
    Model model = Fixture::get().base();
    AdapterOptions options = Fixture::adapter_options();
    options.target_modules = std::move(selector);
    model.adapt(options);
    return model.trainable_parameters();
  };
  const std::int64_t layer = 2 * 512 * 9 + 512 * 2, output = 2 * 512 + 2;
  CHECK(trainable("layer4.1.conv1") == layer + output);
  CHECK(trainable({"layer4.1.conv1"}) == layer + output);
  CHECK(trainable({"layer4.1.conv1", "layer4.1.conv2"}) == 2 * layer + output);
  CHECK(trainable({"conv2"}) > 4 * layer / 2);  // eight layers
}

TEST_CASE("adapt: nothing changes until training, but for a new output") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.base();
  const auto before = model.logits(fixture.test_images());
  AdapterOptions options{.target_modules = {"conv2"}, .classes = model.classes()};
  model.adapt(options);
  CHECK(model.is_adapted());
  CHECK(largest_difference(model.logits(fixture.test_images()).values, before.values) < 1e-3);
  CHECK(refusal<UsageError>([&] { model.adapt(options); }) == has("adapted already"));
}

TEST_CASE("adapt refuses, and leaves the model as it was") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.base();
  const auto before = model.logits({fixture.image(0)});
  const auto refused = [&](const std::function<void(AdapterOptions&)>& change) {
    AdapterOptions options = Fixture::adapter_options();
    change(options);
    const std::string message = refusal<UsageError>([&] { model.adapt(options); });
    CHECK_FALSE(model.is_adapted());
    CHECK(model.classes().size() == 1000);
    return message;
  };
  CHECK(refused([](auto& o) { o.peft_type = "VBLORA"; }) == has("peft_type: got"));
  CHECK(refused([](auto& o) { o.bias = "some"; }) == has("bias: got"));
  CHECK(refused([](auto& o) { o.init_lora_weights = "eva"; }) == has("init_lora_weights: got"));
  CHECK(refused([](auto& o) { o.peft_type = "IA3", o.bias = "all"; }) == has("bias"));
  CHECK(refused([](auto& o) { o.r = 0; }) == has("r: got 0"));
  CHECK(refused([](auto& o) { o.r = -1; }) == has("r: got -1"));
  CHECK(refused([](auto& o) { o.lora_alpha = NAN; }) == has("lora_alpha: got nan"));
  CHECK(refused([](auto& o) { o.lora_dropout = 1; }) == has("lora_dropout: got 1"));
  CHECK(refused([](auto& o) { o.target_modules = "nothing"; }) != "no error");
  CHECK(refused([](auto& o) { o.target_modules = {"conv1", "nothing"}; }) != "no error");
  CHECK(refused([](auto& o) { o.target_modules = "("; }) != "no error");
  CHECK(refused([](auto& o) { o.modules_to_save = {"nothing"}; }) != "no error");
  CHECK(refused([](auto& o) { o.head = {{0}}; }) == has("head: got 0"));
  CHECK(refused([](auto& o) { o.head = {{-3}}; }) == has("head: got -3"));
  CHECK(refused([](auto& o) { o.classes.clear(); }) == has("classes: got none"));
  CHECK(refused([](auto& o) { o.classes = {"a", ""}; }) == has("classes: got an empty name"));
  CHECK(refused([](auto& o) { o.classes = {"a", "a"}; }) == has("classes: got 'a' twice"));
  CHECK(refused([](auto& o) { o.classes = {"a", "\xff"}; }) == has("not UTF-8"));
  CHECK(refused([](auto& o) { o.replace_output = false; }) == has("classes: got 2 names, expected 1000"));
  CHECK(refusal([&] {
          AdapterOptions o = Fixture::adapter_options();
          o.start_from = "/nonexistent";
          model.adapt(o);
        }) == has("start_from: got '/nonexistent'"));
  CHECK(model.logits({fixture.image(0)}).values == before.values);
  model.adapt(Fixture::adapter_options());  // and can still be adapted
  CHECK(model.is_adapted());
}

TEST_CASE("adapt: start_from takes the values of a trained adapter") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.base();
  AdapterOptions options = Fixture::adapter_options();
  options.start_from = fixture.adapter();
  model.adapt(options);
  const auto images = std::vector<Image>{fixture.image(0), fixture.image(1)};
  Model trained = fixture.trained();
  // The new one has the base's own preprocessing.
  CHECK(largest_difference(model.logits(images, Preprocess::kNormalise).values,
                           trained.logits(images, Preprocess::kNormalise).values) < 1e-4);
}
