// A complete run from recipe to folder: EfficientNet-Lite0 with random weights, and synthetic digits in MNIST's format.
#include "train/train.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <string>

#include "adapters/adapter_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "data/idx_files.h"
#include "io/safetensors.h"
#include "models/models.h"
#include "refusal.h"
#include "train/run_report.h"
#include "train/small_model.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

// Weights and data, made once: they are what takes time.
struct Material {
  TemporaryFolder folder;
  fs::path weights = folder.path / "weights.safetensors";
  fs::path data = folder.path / "digits";

  Material() {
    NamedTensors tensors;
    for (const auto& parameter : find_model("efficientnet_lite0").build().parameters()) {
      // BatchNorm with its defaults; convolutions that keep the size of their input.
      const bool is_one =
          parameter.shape.size() == 1 && (parameter.name.ends_with("weight") || parameter.name.ends_with("var"));
      const double fan_in = static_cast<double>(parameter.count() / parameter.shape[0]);
      tensors.add(parameter.name, is_one                        ? at::ones(parameter.shape)
                                  : parameter.shape.size() == 1 ? at::zeros(parameter.shape)
                                                                : scattered(parameter.shape, 2 / std::sqrt(fan_in), 0));
    }
    write_safetensors(weights, tensors);
    put("train", 24);
    put("t10k", 9);
  }
  // Digit 0 is dark, 1 is brighter, 2 brightest.
  void put(const std::string& split, std::uint32_t count) const {
    std::string pixels;
    std::string labels;
    for (std::uint32_t i = 0; i < count; ++i) {
      labels += static_cast<char>(i % 3);
      for (int p = 0; p < 64; ++p) pixels += static_cast<char>((i % 3) * 90 + (i * 7 + p * 13) % 60);
    }
    write_file(data / (split + "-images-idx3-ubyte"), idx({count, 8, 8}, pixels));
    write_file(data / (split + "-labels-idx1-ubyte"), idx({count}, labels));
  }
  Recipe recipe(const std::string& run, const std::vector<std::string>& overrides = {}) const {
    write_file(folder.path / "r.yaml",
               "model: efficientnet_lite0\nweights: " + weights.string() + "\ndata: " + data.string() +
                   "\nimage_size: 32\nr: 2\ntarget_modules: [blocks.6.0.conv_pw]\nmodules_to_save: [classifier]\n"
                   "replace_output: true\nepochs: 2\nbatch_size: 8\nthreads: 1\nrun: " +
                   (folder.path / run).string() + "\n");
    return load_recipe(folder.path / "r.yaml", overrides);
  }
};

const Material& material() {
  static const Material made;
  return made;
}

// metrics.jsonl without what a clock measured.
std::string metrics(const fs::path& run) {
  std::istringstream lines(read_file(run / "metrics.jsonl", 1 << 20));
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    Json json = Json::parse(line);
    json.erase("seconds");
    out += json.dump() + "\n";
  }
  return out;
}

const std::set<std::string> kRunFiles{
    "adapter",     "adapter.lorikeet", "checkpoints", "epochs.csv",  "events.out.tfevents.lorikeet",
    "log.txt",     "metrics.jsonl",    "recipe.yaml", "report.html", "steps.csv",
    "summary.json"};

std::set<std::string> names(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.insert(entry.path().filename().string());
  return out;
}

}  // namespace

TEST_CASE("a report says where the value of a key comes from, and a note names keys that are not used") {
  const Recipe recipe =
      material().recipe("reasons", {"schedule=one_cycle", "max_steps=1", "split_seed=4", "validation_share=0.2"});
  std::string log;
  train(recipe, {.progress = {}, .log = [&](const std::string& line) { log += line; }, .download = {}});
  CHECK(log == has("digits: has splits, so validation_share, split_seed are not used"));
  const std::string html = read_file(recipe.run / "report.html", 1 << 24);
  CHECK(html == has("<td>warmup</td><td>0.3</td><td>chosen automatically: "));
  CHECK(html == has("<td>schedule</td><td>one_cycle</td><td>instead of the default, constant: "));
  CHECK(html.find("<td>learning_rate</td>") == std::string::npos);
}

TEST_CASE("a recipe becomes a run's folder, whose recipe repeats the run") {
  at::set_num_threads(2);
  const Recipe recipe = material().recipe("a");
  std::vector<std::string> log;
  const TrainSummary summary =
      train(recipe, {.progress = {}, .log = [&](const std::string& line) { log.push_back(line); }, .download = {}});
  CHECK(at::get_num_threads() == 2);  // the recipe's `threads: 1` ends with the run
  CHECK_FALSE(summary.interrupted);
  CHECK(summary.loop.steps == 6);
  CHECK(summary.test.total == 9);
  CHECK(summary.trainable_parameters == 2 * (192 + 1152) + 3 * 1280 + 3);
  CHECK((names(recipe.run) == kRunFiles));

  const Json written = Json::parse(read_file(recipe.run / "summary.json", 1 << 20));
  CHECK(written["status"] == "finished");
  CHECK(written["test"]["total"] == 9);
  CHECK(written["trainable_parameters"] == summary.trainable_parameters);
  CHECK(written["adapter_bytes"] == fs::file_size(summary.adapter / "adapter_model.safetensors"));
  CHECK(written["whole_model_bytes"].get<std::int64_t>() >
        4 * written["total_parameters"].get<std::int64_t>());  // buffers too
  std::string lines;
  for (const auto& line : log) lines += line + "\n";
  CHECK(read_file(recipe.run / "log.txt", 1 << 20) == lines);
  CHECK(log.front() == has("efficientnet_lite0 (weights.safetensors): 6,531 of "));
  CHECK(log.back() == has("test accuracy "));

  const AdapterFolder adapter = read_adapter_folder(summary.adapter);
  CHECK(adapter.tensors.size() == 4);
  CHECK((adapter.metadata->classes == std::vector<std::string>{"0", "1", "2"}));
  CHECK(adapter.metadata->preprocessing.crop == 32);
  CHECK(adapter.metadata->training["test"]["correct"] == summary.test.correct);

  Recipe again = load_recipe(recipe.run / "recipe.yaml", {"run=" + (material().folder.path / "again").string()});
  const TrainSummary repeated = train(again, {});
  CHECK(metrics(again.run) == metrics(recipe.run));
  CHECK(read_file(again.run / "recipe.yaml", 1 << 20) == read_file(recipe.run / "recipe.yaml", 1 << 20));
  CHECK(read_file(repeated.adapter / "adapter_model.safetensors", 1 << 24) ==
        read_file(summary.adapter / "adapter_model.safetensors", 1 << 24));

  CHECK(refusal<UsageError>([&] { train(recipe, {}); }) == has("got a folder that holds a run already."));
  CHECK(metrics(again.run) == metrics(recipe.run));

  // Going on from an adapter begins where it ended.
  const TrainSummary further =
      train(material().recipe("further", {"start_from=" + recipe.run.string(), "learning_rate=0", "max_steps=1"}), {});
  CHECK(further.test.loss == doctest::Approx(summary.test.loss));
}

TEST_CASE("the biases of chosen modules are trained, saved with the others, and a start for more") {
  const std::string targets = R"(target_modules='blocks\.6\..*')";
  const Recipe recipe = material().recipe("biases", {"tune=bias", targets});
  const TrainSummary summary = train(recipe, {});
  CHECK(summary.trainable_parameters == 3 * 1281 + 1152 + 1152 + 320);  // the output, and three BatchNorms
  const AdapterFolder adapter = read_adapter_folder(summary.adapter);
  CHECK_FALSE(adapter.spec.config.has_targets());
  CHECK((adapter.spec.config.bias == TrainedBias::kAll));
  CHECK(adapter.tensors.contains("blocks.6.0.bn1.bias"));
  CHECK(adapter.tensors.contains("bn1.bias"));
  for (const std::string& start : {recipe.run.string(), (recipe.run / "adapter.lorikeet").string()}) {
    const TrainSummary further = train(
        material().recipe("biases2", {"tune=bias", targets, "start_from=" + start, "learning_rate=0", "max_steps=1"}),
        {}, /*replace=*/true);
    CHECK(further.test.loss == doctest::Approx(summary.test.loss));
  }
  CHECK(refusal<UsageError>([&] {
          train(material().recipe(
                    "biases3", {"tune=bias", R"(target_modules='blocks\.5\..*')", "start_from=" + recipe.run.string()}),
                {});
        }) == has("expected all modules whose biases"));
}

TEST_CASE("limits are kept, and images held out for validation are not trained on") {
  for (const auto& [limit, images] : {std::pair("train_limit=10", 10), {"train_limit=100", 24 - 6}}) {
    const Recipe recipe = material().recipe(limit, {"epochs=1", limit, "validation=6", "test_limit=4"});
    const TrainSummary summary = train(recipe, {});
    CHECK(summary.loop.images == images);
    CHECK(summary.loop.validation.total == 6);
    CHECK(summary.test.total == 4);
  }
}

TEST_CASE("an interrupted run is saved as far as it came") {
  const Recipe recipe = material().recipe("interrupted");
  const TrainSummary summary =
      train(recipe, {.progress = [](const TrainProgress& now) { return now.done < 16; }, .log = {}, .download = {}});
  CHECK(summary.interrupted);
  CHECK(summary.loop.steps == 2);
  CHECK(summary.test.total == 0);
  const Json written = Json::parse(read_file(recipe.run / "summary.json", 1 << 20));
  CHECK(written["status"] == "interrupted");
  CHECK_FALSE(written.contains("test"));
  CHECK(read_adapter_folder(summary.adapter).tensors.size() == 4);

  const Recipe testing = material().recipe("interrupted2", {"epochs=1"});
  const TrainSummary late = train(
      testing, {.progress = [](const TrainProgress& now) { return now.phase != "test"; }, .log = {}, .download = {}});
  CHECK(late.interrupted);
  CHECK(late.test.total == 0);
}

TEST_CASE("a recipe that does not fit its model or data leaves no files") {
  const auto refused = [](const std::string& override) {
    const Recipe recipe = material().recipe("refused", {override});
    const std::string message = refusal<UsageError>([&] { train(recipe, {}); });
    CHECK_FALSE(fs::exists(recipe.run));
    return message;
  };
  CHECK(refused("replace_output=false") == has("data: got 3 classes in "));
  CHECK(refused("replace_output=false") ==
        has("Set head: new, that is replace_output: true with modules_to_save: [classifier], or add a head."));
  CHECK(refused("modules_to_save=[]") == has("modules_to_save: got no 'classifier'"));
  CHECK(refused("target_modules=[blocks.9.0.conv_pw]") == has("blocks.9.0.conv_pw"));
  CHECK(refused("validation=24") == has("validation: got 24, expected fewer than the 24 training images."));
  CHECK(refused("early_stop=2") == has("early_stop: got 2 without validation images"));
  CHECK(refused("start_from=nowhere") ==
        has("start_from: got 'nowhere', expected the folder or the file of an adapter."));
  CHECK(refused("data=no/such") == has("data: got 'no/such', which does not exist"));
  CHECK(refused("model=eficientnet_lite0") == has("efficientnet_lite0"));

  const Recipe unmergeable = material().recipe("refused", {"precision=int8", "lora_bias=true"});
  CHECK(refusal([&] { train(unmergeable, {}); }) ==
        has("merge: got lora_bias on blocks.6.0.conv_pw, which has no bias, expected a layer with a bias"));
  CHECK_FALSE(fs::exists(unmergeable.run));
}

TEST_CASE("a run that fails before its first adapter is removed, later it keeps what there is") {
  write_file(material().folder.path / "photos/train/a/1.png", "no image");
  const Recipe recipe = material().recipe("damaged", {"data=" + (material().folder.path / "photos").string()});
  CHECK(refusal([&] { train(recipe, {}); }) == has("photos/train/a/1.png: "));
  CHECK_FALSE(fs::exists(recipe.run));

  // Nor does it touch a run that it was to replace.
  const fs::path old = material().folder.path / "replaced";
  train(material().recipe("replaced"), {});
  const auto content = [&] {
    std::vector<std::string> out;
    for (const char* name : {"adapter/adapter_model.safetensors", "recipe.yaml", "summary.json", "metrics.jsonl"})
      out.push_back(read_file(old / name, 1 << 24));
    return out;
  };
  const auto before = content();
  const std::string damaged = "data=" + (material().folder.path / "photos").string();
  for (const char* override : {damaged.c_str(), "learning_rate=1000", "early_stop=2"}) {
    CAPTURE(override);
    CHECK(refusal([&] {
            train(material().recipe("replaced", {override, "optimizer=sgd", "batch_size=1", "weight_decay=1000"}), {},
                  true);
          }) != "no error");
    CHECK(content() == before);
    CHECK(names(old) == kRunFiles);
  }
  train(material().recipe("replaced", {"seed=5"}), {}, /*replace=*/true);
  CHECK(content() != before);

  const Recipe late = material().recipe("late");
  const auto fails = [](const TrainProgress& now) { return now.epoch < 2 ? true : throw Error("out of paper"); };
  CHECK(refusal([&] { train(late, {.progress = fails, .log = {}, .download = {}}); }) ==
        cat("out of paper The last checkpoint is kept: continue with 'lorikeet train --resume ", late.run.string(),
            "'."));
  CHECK(read_adapter_folder(late.run / "adapter").tensors.size() == 4);
}

TEST_CASE("a run continues after a failure with the results of one that did not fail, and can be extended") {
  const auto tensors = [](const Recipe& recipe) {
    return read_file(recipe.run / "adapter/adapter_model.safetensors", 1 << 24);
  };
  const auto limited = [](std::int64_t calls) {
    return TrainCallbacks{.progress =
                              [=](const TrainProgress& now) mutable {
                                if (now.phase == "test") return true;
                                if (calls-- == 0) throw Error("power failure");
                                return true;
                              },
                          .log = {},
                          .download = {}};
  };
  const std::vector<std::string> keys{"epochs=3", "checkpoint_seconds=0", "lora_dropout=0.3", "random_crop_padding=2"};
  const Recipe whole = material().recipe("whole", keys);
  train(whole, {});
  const Recipe broken = material().recipe("broken", keys);
  CHECK(refusal([&] { train(broken, limited(4)); }) == has("power failure"));
  const TrainSummary resumed = resume(broken.run, {}, {});
  CHECK(resumed.loop.steps == 9);
  CHECK(tensors(broken) == tensors(whole));
  CHECK(metrics(broken.run) == metrics(whole.run));
  CHECK(read_file(broken.run / "adapter/lorikeet.json", 1 << 20) ==
        read_file(whole.run / "adapter/lorikeet.json", 1 << 20));
  CHECK(read_file(broken.run / "recipe.yaml", 1 << 20) == read_file(whole.run / "recipe.yaml", 1 << 20));
  std::string log;
  const TrainCallbacks logs{.progress = {}, .log = [&](const std::string& line) { log += line; }, .download = {}};
  CHECK(resume(broken.run, {}, logs).loop.steps == 9);
  CHECK(log == has("nothing to train: the run is complete; epochs=N extends it"));
  CHECK(tensors(broken) == tensors(whole));

  // In the middle of an epoch, and from one epoch, which has no cache of the frozen prefix.
  for (const char* length : {"max_steps=4", "epochs=1"}) {
    CAPTURE(length);
    auto longer = keys;
    longer.pop_back();  // random images, which are not cached
    const Recipe expected = material().recipe(cat("expected ", length), longer);
    train(expected, {});
    longer.push_back(length);
    const Recipe extended = material().recipe(cat("extended ", length), longer);
    train(extended, {});
    CHECK(tensors(extended) != tensors(expected));
    CHECK(resume(extended.run, {"epochs=3", "max_steps=0"}, {}).loop.steps == 9);
    CHECK(tensors(extended) == tensors(expected));
    const std::string rows = read_file(extended.run / "epochs.csv", 1 << 20);  // a header, and one for each epoch
    CHECK(std::count(rows.begin(), rows.end(), '\n') == 1 + 3);
    CHECK(read_curves(extended.run / "metrics.jsonl").epochs.size() == 3);
  }

  const auto refused = [&](const std::string& override) {
    return refusal<UsageError>([&] { resume(broken.run, {override}, {}); });
  };
  CHECK(refused("seed=7") == has("seed: got 7, expected 0, as in the run so far. --resume can change epochs, "));
  CHECK(refused("run=x") == has("run: got x, expected no such override with --resume."));
  CHECK(refused("epochs=2") == has("epochs: got 2, which are 6 steps, expected at least the 9 that the run has made."));
  CHECK(refusal<UsageError>([&] { resume(broken.run / "none", {}, {}); }) == has("none: got no folder"));
  CHECK(refusal([&] { resume(broken.run, {"data=" + (material().folder.path / "fewer").string()}, {}); }) !=
        "no error");
  NamedTensors other = read_safetensors(material().weights);
  other.set("conv_stem.weight", at::zeros_like(*other.find("conv_stem.weight")));
  write_safetensors(material().folder.path / "other.safetensors", other);
  CHECK(refusal([&] {
          resume(broken.run, {"weights=" + (material().folder.path / "other.safetensors").string()}, {});
        }) == has("other.safetensors: got other weights than those of the run"));
  CHECK(tensors(broken) == tensors(whole));
}

TEST_CASE("a run that diverges goes back once, with a tenth of the learning rate") {
  std::vector<std::string> log;
  const TrainCallbacks callbacks{
      .progress = {}, .log = [&](const std::string& line) { log.push_back(line); }, .download = {}};
  const std::vector<std::string> keys{"optimizer=sgd", "batch_size=1", "learning_rate=1000"};
  const TrainSummary summary = train(material().recipe("diverged", keys), callbacks);
  CHECK(summary.loop.steps == 48);
  const auto said = [&](const char* text) {
    return std::any_of(log.begin(), log.end(), [&](const std::string& line) { return line.find(text) != line.npos; });
  };
  CHECK(said("Going back to the start and continuing with a tenth of the learning rate."));
  std::istringstream lines(read_file(summary.recipe.run / "metrics.jsonl", 1 << 20));
  std::string first;
  std::getline(lines, first);
  CHECK(Json::parse(first)["step"] == 1);
  CHECK(Json::parse(first)["learning_rate"] == 100.0);

  const std::vector<std::string> worse{"optimizer=sgd", "batch_size=1", "learning_rate=1000", "weight_decay=1000",
                                       "checkpoint_seconds=0"};
  const Recipe recipe = material().recipe("diverged twice", worse);
  log.clear();
  const std::string error = refusal([&] { train(recipe, callbacks); });
  CHECK(error ==
        has("The learning rate had already been lowered once, to a tenth; the last good state is that of step "));
  CHECK(error == has("continue with 'lorikeet train --resume "));
  CHECK(said("Going back to step "));
  // What is on the disk is finite, and a lower rate continues from it.
  CHECK(read_adapter_folder(recipe.run / "adapter").tensors.size() == 4);
}

TEST_CASE("the results do not depend on the threads that read images") {
  std::set<std::string> found;
  for (const char* threads : {"1", "2", "7"}) {
    const Recipe recipe =
        material().recipe(cat("loader ", threads), {cat("loader_threads=", threads), "random_horizontal_flip=0.5",
                                                    "random_resized_crop=[0.5, 1]", "lora_dropout=0.1"});
    train(recipe, {});
    std::string bytes;
    for (const char* file : {"adapter_model.safetensors", "adapter_config.json", "lorikeet.json", "README.md"})
      bytes += read_file(recipe.run / "adapter" / file, 1 << 24);
    found.insert(bytes);
  }
  CHECK(found.size() == 1);
}

TEST_CASE("a run with a time stays as it is when it is resumed, and goes on with more time") {
  const Recipe recipe = material().recipe("timed", {"time=2s", "epochs=1"});
  const TrainSummary first = train(recipe, {});
  CHECK(first.loop.steps > 1);
  CHECK(first.loop.epochs >= 1);
  CHECK(resume(recipe.run, {}, {}).loop.steps == first.loop.steps);
  CHECK(resume(recipe.run, {"time=6s"}, {}).loop.steps > first.loop.steps);
}
