#include "lorikeet/adapter_set.h"

#include <doctest/doctest.h>

#include <functional>
#include <utility>

#include "api/fixture.h"
#include "base/file.h"
#include "base/json.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

// Adapters in three precisions, of three methods, with outputs and heads of different widths.
struct Adapters {
  TemporaryFolder folder;
  std::vector<std::string> names{"float32", "bfloat16", "int8", "head"};

  Adapters() {
    const Fixture& fixture = Fixture::get();
    for (const auto& name : names) {
      Model model = fixture.base();
      AdapterOptions options = Fixture::adapter_options();
      if (name == "bfloat16") options.use_dora = true;
      if (name == "head") {
        options.peft_type = "IA3";
        options.modules_to_save = {};
        options.replace_output = false;
        options.head = {{5}};
      }
      model.adapt(options);
      TrainingOptions training = fixture.training();
      training.loop.seed = name.size();
      if (name == "bfloat16") training.machine.precision = Precision::kBFloat16;
      if (name == "int8") training.machine.precision = Precision::kInt8;
      if (name == "head") training.data.image_size = 48;
      model.train(training);
      model.save(folder.path / name);
    }
  }

  Model model(const std::string& name) const {
    return load((folder.path / name).string(), {.weights = Fixture::get().weights()});
  }
};

LoadOptions of_resnet18() { return {.model = "resnet18"}; }

}  // namespace

TEST_CASE("a set of mixed precisions answers as the models do") {
  const Fixture& fixture = Fixture::get();
  const Adapters adapters;
  AdapterSet set(fixture.weights().string(), of_resnet18());
  for (const auto& name : adapters.names) set.add(name, adapters.folder.path / name);
  CHECK(set.names() == adapters.names);
  CHECK(set.classes("int8") == (std::vector<std::string>{"blue", "red"}));

  std::vector<AdapterSet::Request> requests;
  const auto images = fixture.test_images();
  for (std::size_t i = 0; i < 4 * images.size(); ++i)
    requests.push_back({images[i % images.size()], adapters.names[(i * 7 / 2) % adapters.names.size()]});
  const auto found = set.logits(requests);
  REQUIRE(found.size() == requests.size());
  for (const auto& name : adapters.names) {
    Model model = adapters.model(name);
    CHECK(model.precision() == (name == "bfloat16" ? Precision::kBFloat16
                                : name == "int8"   ? Precision::kInt8
                                                   : Precision::kFloat32));
    std::int64_t asked = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].adapter != name) continue;
      ++asked;
      const auto expected = model.logits({requests[i].image}).values;
      const double scale = 1 + std::abs(expected[0]) + std::abs(expected[1]);
      CAPTURE(name);
      // bfloat16 has 8 bits, and a batch of another size may be added up in another order.
      CHECK(largest_difference(found[i], expected) < (name == "bfloat16" ? 2e-2 : 1e-4) * scale);
    }
    CHECK(asked > 0);
  }
  const auto predictions = set.predict(requests, 2);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(predictions[i].size() == 2);
    CHECK(predictions[i][0].index == (found[i][0] >= found[i][1] ? 0 : 1));
  }

  // One fewer: the others answer as before.
  set.remove("int8");
  CHECK(set.names() == (std::vector<std::string>{"float32", "bfloat16", "head"}));
  CHECK(largest_difference(set.logits({{images[0], "head"}})[0], adapters.model("head").logits({images[0]}).values) <
        1e-3);
  CHECK(refusal<UsageError>([&] { set.predict({{images[0], "int8"}}); }) == has("adapter: got 'int8'"));
}

TEST_CASE("a set takes images of any kind") {
  const Fixture& fixture = Fixture::get();
  AdapterSet set(fixture.weights().string(), of_resnet18());
  set.add("colours", fixture.adapter());
  const std::vector<std::uint8_t> pixels(3 * 20 * 20, 90);
  const auto found = set.logits({{RgbImage{pixels, 20, 20}, "colours"}, {fixture.image(0), "colours"}});
  CHECK(found.size() == 2);
  Model model = fixture.trained();
  CHECK(largest_difference(found[0], model.logits({RgbImage{pixels, 20, 20}}).values) < 1e-3);
  CHECK(refusal([&] { set.logits({{EncodedImage{}, "colours"}}); }) == has("images[0]: got an empty file"));
  CHECK(set.predict({}).empty());
}

TEST_CASE("a set honours force and the precision asked for") {
  const Fixture& fixture = Fixture::get();
  AdapterSet strict(fixture.other_weights().string(), of_resnet18());
  CHECK(refusal([&] { strict.add("colours", fixture.adapter()); }) == has("The adapter was trained on another base"));
  CHECK(strict.names().empty());
  AdapterSet forced(fixture.other_weights().string(),
                    {.model = "resnet18", .precision = Precision::kBFloat16, .force = true});
  forced.add("colours", fixture.adapter());
  Model model = load(fixture.adapter().string(),
                     {.weights = fixture.other_weights(), .precision = Precision::kBFloat16, .force = true});
  const auto expected = model.logits({fixture.image(0)}).values;
  CHECK(largest_difference(forced.logits({{fixture.image(0), "colours"}})[0], expected) <
        2e-2 * (1 + std::abs(expected[0])));
}

TEST_CASE("a set refuses, and stays as it was") {
  const Fixture& fixture = Fixture::get();
  CHECK(refusal([] { AdapterSet("resnet1"); }) == has("resnet1"));
  CHECK(refusal([&] { AdapterSet(fixture.adapter().string()); }) != "no error");
  AdapterSet set(fixture.weights().string(), of_resnet18());
  set.add("colours", fixture.adapter());
  CHECK(refusal<UsageError>([&] { set.add("colours", fixture.adapter()); }) == has("adapter: got 'colours' again"));
  CHECK(refusal<UsageError>([&] { set.add("", fixture.adapter()); }) == has("adapter: got an empty name"));
  CHECK(refusal([&] { set.add("x", fixture.images()); }) == has("got no adapter, expected"));
  CHECK(refusal([&] { set.add("x", "/nonexistent"); }) == has("/nonexistent"));
  CHECK(refusal<UsageError>([&] { set.remove("colour"); }) == has("adapter: got 'colour'"));
  CHECK(refusal<UsageError>([&] { set.classes("x"); }) == has("adapter: got 'x'"));
  CHECK(refusal<UsageError>([&] { set.predict({{fixture.image(0), "colours"}}, 0); }) == has("top: got 0"));
  CHECK(refusal<UsageError>([&] { set.predict({{fixture.image(0), "colours"}}, 3); }) == has("top: got 3"));
  CHECK(set.names() == std::vector<std::string>{"colours"});
  CHECK(set.predict({{fixture.image(0), "colours"}}).size() == 1);
}

TEST_CASE("answers that are not finite are an Error that names the image, and no call's fault") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  fs::copy(fixture.adapter(), folder.path / "adapter");
  Json config = Json::parse(read_file(folder.path / "adapter/adapter_config.json", 1 << 20));
  config["lora_alpha"] = 1e38;  // each number is finite, and so is the file's every tensor
  write_file(folder.path / "adapter/adapter_config.json", config.dump());

  const std::string expected =
      fixture.image(1).string() + ": got NaN or infinity from the network, expected finite logits.";
  const auto check = [&](const auto& call) {
    CHECK(refusal(call) == has(expected));
    CHECK_THROWS_AS(call(), Error);
    bool is_usage = false;
    try {
      call();
    } catch (const UsageError&) {
      is_usage = true;
    } catch (const Error&) {
    }
    CHECK_FALSE(is_usage);
  };
  Model model = load((folder.path / "adapter").string(), {.weights = fixture.weights()});
  check([&] { model.predict({fixture.image(1)}); });
  CHECK(refusal([&] { model.evaluate(fixture.images().string()); }) == has("evaluation: got a loss of"));
  AdapterSet set(fixture.weights().string(), of_resnet18());
  set.add("good", fixture.adapter());
  set.add("huge", folder.path / "adapter");
  check([&] { set.predict({{fixture.image(0), "good"}, {fixture.image(1), "huge"}}); });
  CHECK(set.predict({{fixture.image(1), "good"}}).size() == 1);
}

TEST_CASE("a set that was moved from says so") {
  AdapterSet set(Fixture::get().weights().string(), of_resnet18());
  const AdapterSet taken = std::move(set);
  const std::vector<std::function<void()>> calls{
      [&] { set.add("x", "y"); },
      [&] { set.remove("x"); },
      [&] { set.names(); },
      [&] { set.classes("x"); },
      [&] {
        set.logits({{"x.png", "x"}});
      },
      [&] { set.logits({}); },
      [&] {
        set.predict({{"x.png", "x"}});
      },
  };
  for (const auto& call : calls) CHECK(refusal<UsageError>(call) == has("adapters: got a set that was moved from"));
}
