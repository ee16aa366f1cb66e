// Invalid recipes: rejected in one line, within bounds of time and memory.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "train/recipe.h"

using namespace lorikeet;

namespace {

const std::string kLeast = "data: mnist\nhead: []\n";

// What `lorikeet train` would say of this file; it must name it.
std::string refused(const std::string& yaml) {
  const TemporaryFolder folder;
  const auto path = folder.path / "r.yaml";
  write_file(path, yaml);
  const std::string message = refusal([&] { load_recipe(path, {}); });
  return message.starts_with(path.string() + ": ") ? "r.yaml" + message.substr(path.string().size()) : message;
}

std::string refused_override(const std::string& override) {
  const TemporaryFolder folder;
  write_file(folder.path / "r.yaml", kLeast);
  return refusal<UsageError>([&] { load_recipe(folder.path / "r.yaml", {override}); });
}

std::string repeated(const std::string& text, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

}  // namespace

TEST_CASE("unknown keys are refused with the nearest, and what comes twice") {
  CHECK(refused(kLeast + "lerning_rate: 1\n") ==
        "r.yaml: lerning_rate: got an unknown key. Did you mean 'learning_rate'?");
  CHECK(refused(kLeast + "rnu: a\n") == has("Did you mean 'run'?"));
  CHECK(refused(kLeast + "no_such_thing_at_all: 1\n") ==
        has("got an unknown key. 'lorikeet train --help' lists them."));
  CHECK(refused(kLeast + "\"a\\nb\": 1\n") == has("r.yaml: a\\x0ab: got an unknown key."));
  CHECK(refused(kLeast + "---\nepochs: 3\n") ==
        "r.yaml: got 2 YAML documents, expected one recipe. Remove the line '---' between them.");
  CHECK(refused(kLeast + "data: mnist\n") == "r.yaml: data: got the key twice, expected each key once.");
  CHECK(refused(kLeast + "[data]: mnist\n") == has("r.yaml: recipe: got a list, expected a word."));
  CHECK(refused(kLeast + "reference: {titel: x}\n") ==
        has("reference: got the unknown key 'titel'. Did you mean 'title'?"));
  CHECK(refused_override("epoch=3") == "epoch: got an unknown key. Did you mean 'epochs'?");
  for (const auto& [name, key] :
       {std::pair("lr", "learning_rate"), std::pair("rank", "r"), std::pair("lora_r", "r"),
        std::pair("alpha", "lora_alpha"), std::pair("dropout", "lora_dropout"), std::pair("batch", "batch_size"),
        std::pair("batch-size", "batch_size"), std::pair("Batch_Size", "batch_size"), std::pair("wd", "weight_decay"),
        std::pair("lora_target_modules", "target_modules"), std::pair("output_dir", "run")}) {
    CHECK(refused_override(cat(name, "=1")) == cat(name, ": got an unknown key. Did you mean '", key, "'?"));
  }
  for (const char* override : {"epochs", "=3", ""})
    CHECK(refused_override(override) == has("got no key=value, expected e.g. epochs=3."));
  CHECK(refused_override("head=[1") == has("head=[1: got a value that is not YAML: "));
}

TEST_CASE("impossible values are refused, with what is possible") {
  const std::vector<std::pair<std::string, std::string>> values{
      {"data: [a]", "data: got a list, expected a word."},
      {"data: {a: 1}", "data: got a table, expected a word."},
      {"preprocess: evla", "preprocess: got 'evla', expected one of eval, normalise."},
      {"random_resized_crop: 0.5",
       "random_resized_crop: got '0.5', expected two fractions of the area, e.g. [0.35, 1], or null."},
      {"random_resized_crop: [0.5, 0.4]", "random_resized_crop: got '0.5', expected a number from 0.0001 to 0.4."},
      {"random_resized_crop: [0, 1]", "random_resized_crop: got '0', expected a number from 0.0001 to 1."},
      {"random_horizontal_flip: 2", "random_horizontal_flip: got '2', expected a number from 0 to 1."},
      {"random_crop_padding: 1.5", "random_crop_padding: got '1.5', expected an integer from 0 to 4096."},
      {"optimizer: adam", "optimizer: got 'adam', expected one of adamw, sgd."},
      {"device: [cpu]", "device: got a list, expected a word."},
      {"epochs: 0", "epochs: got '0', expected an integer from 1 to 1000000."},
      {"epochs: 1.5", "epochs: got '1.5', expected an integer"},
      {"epochs: 3x", "epochs: got '3x', expected an integer"},
      {"epochs:", "epochs: got nothing, expected an integer"},
      {"batch_size: 65537", "batch_size: got '65537', expected an integer from 1 to 65536."},
      {"seed: -1", "seed: got '-1', expected an integer from 0 to"},
      {"seed: 9223372036854775808", "seed: got '9223372036854775808', expected an integer from 0 to"},
      {"r: 65537", "r: got '65537', expected an integer from 0 to 65536."},
      {"learning_rate: -1", "learning_rate: got '-1', expected a number from 0 to 1000."},
      {"learning_rate: .nan", "learning_rate: got '.nan', expected a number"},
      {"learning_rate: .inf", "learning_rate: got '.inf', expected a number"},
      {"learning_rate: 1e999", "learning_rate: got '1e999', expected a number"},
      {"learning_rate: 0,1", "learning_rate: got '0,1', expected a number"},
      {"momentum: 1", "momentum: got '1', expected a number from 0 to"},
      {"lora_dropout: 1", "lora_dropout: got '1', expected a number from 0 to"},
      {"nesterov: maybe", "nesterov: got 'maybe', expected true or false."},
      {"nesterov:", "nesterov: got nothing, expected true or false."},
      {"betas: [0.9]", "betas: got a list, expected two numbers, e.g. [0.9, 0.999]."},
      {"betas: [0.9, 1]", "betas: got '1', expected a number from 0 to"},
      {"head: 512", "head: got '512', expected a list of at most 64 widths, e.g. [512, 256], new, or null."},
      {"time: 10 minutes", "time: got '10 minutes', expected a time of at most 1e6 seconds, e.g. 90s, 10m or 1h30m"},
      {"time: 5m3", "time: got '5m3', expected a time"},
      {"tune: lora", "tune: got 'lora', expected one of probe, adapter, norm, bias, partial, full, or null."},
      {"image_size: 1", "image_size: got 1, expected at least 16, or 0 for the size of the weights' own evaluation."},
      {"head: [0]", "head: got '0', expected an integer from 1 to"},
      {"head: [" + repeated("1,", 2 * 65) + "]", "head: got a list, expected a list of at most 64 widths"},
      {"modules_to_save: {a: 1}", "modules_to_save: got a table, expected a list of names."},
      {"modules_to_save: [[a]]", "modules_to_save: got a list, expected a word."},
      {"target_modules: {a: 1}", "target_modules: got a table, expected a word."},
      {"rank_pattern: [a]", "rank_pattern: got a list, expected a table of numbers by pattern."},
      {"rank_pattern: {a: b}", "rank_pattern: got 'b', expected a number"},
      {"rank_pattern: {a: 1.5}", "rank_pattern: got 1.5, expected an integer from 1 to 65536."},
      {"lora_alpha: 0", "lora_alpha: got 0, expected a finite number other than 0."},
      // What YAML reads, but does not write so that it reads back as the same.
      {"target_modules: \"a\\0b\"", "target_modules: got 'a\\x00b', expected no control characters."},
      {"weights: \"a\\x04b\"", "weights: got 'a\\x04b', expected no control characters."},
      {"modules_to_save: [\"a\\N\"]", "modules_to_save: got 'a\\x85', expected no control characters."},
      {"reference: {title: \"a\\rb\"}", "reference.title: got 'a\\x0db', expected no control characters."},
      {"reference: x", "reference: got 'x', expected a table with title, trainable and accuracy."},
      {"reference: {accuracy: 97}", "reference.accuracy: got '97', expected a number from 0 to 1."},
  };
  for (const auto& [line, message] : values) {
    CAPTURE(line);
    const bool replaces = line.starts_with("data") || line.starts_with("head");
    CHECK(refused((replaces ? (line.starts_with("data") ? "head: []\n" : "data: mnist\n") : kLeast) + line + "\n") ==
          has(message));
  }
  CHECK(refused_override("epochs=0") == "epochs: got '0', expected an integer from 1 to 1000000.");
  CHECK(refused_override("betas=[1, 2, 3]") == has("betas: got a list, expected two numbers"));
}

TEST_CASE("values that do not go together are refused") {
  CHECK(refused("head: []\n") == has("data: got nothing, expected the name of a dataset or a folder"));
  CHECK(refused("data: mnist\n") ==
        has("got neither target_modules, modules_to_save, bias nor head, expected something to train."));
  CHECK(refused(kLeast + "image_size: 28\npreprocess: normalise\n") ==
        has("image_size: got 28 together with preprocess=normalise"));
  CHECK(refused(kLeast + "random_resized_crop: [0.5, 1]\npreprocess: normalise\n") ==
        has("random_resized_crop: got it together with preprocess=normalise"));
  CHECK(refused(kLeast + "validation: 5\nvalidation_share: 0.2\n") ==
        has("validation_share: got 0.2 with validation: 5, expected one of the two."));
  CHECK(refused(kLeast + "cache_views: 2\n") ==
        has("cache_views: got 2 without random_resized_crop or another random transform"));
  CHECK(refused_override("data=") == has("data: got nothing"));
}

TEST_CASE("input that is not YAML, or not a table, is rejected with its location") {
  CHECK(refused("data: mnist\nhead: [1\n") == has("r.yaml: line 3: got broken YAML: "));
  CHECK(refused("data: mnist\nhead: *x\n") == has("r.yaml: line 2: got broken YAML: "));
  CHECK(refused("data: mnist\n\thead: []\n") == has("r.yaml: line 2: got broken YAML: "));
  CHECK(refused("") == has("r.yaml: got nothing, expected a recipe: lines of 'key: value'."));
  CHECK(refused("just words") == has("r.yaml: got 'just words', expected a recipe"));
  CHECK(refused("- a\n- b\n") == has("r.yaml: got a list, expected a recipe"));
  const TemporaryFolder folder;
  CHECK(refusal([&] { load_recipe(folder.path / "none.yaml", {}); }) == has("none.yaml"));
  CHECK(refusal([&] { load_recipe(folder.path, {}); }) == has(folder.path.string()));
}

TEST_CASE("a path beside the recipe instead of in the current folder is shown") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path / "photos_of_this_test");
  std::filesystem::create_directories(folder.path / "mnist");
  const auto path = folder.path / "r.yaml";
  write_file(path, "data: photos_of_this_test\nhead: []\n");
  CHECK(refusal([&] { load_recipe(path, {}); }) ==
        has("r.yaml: data: got 'photos_of_this_test', which is beside the recipe but not in the current folder, "
            "expected a path from the current folder, such as " +
            (folder.path / "photos_of_this_test").string()));
  write_file(path, kLeast + "start_from: photos_of_this_test\n");
  CHECK(refusal([&] { load_recipe(path, {}); }) == has("start_from: got 'photos_of_this_test', which is beside"));
  write_file(path, kLeast);  // the name of a dataset
  CHECK(load_recipe(path, {}).data.name == "mnist");
}

TEST_CASE("nothing in a file can make reading it long or large") {
  constexpr std::size_t kMost = (1 << 19);
  CHECK(refused(kLeast + "# " + repeated("x", 1 << 20)) == has("r.yaml"));  // over the limit
  const auto start = std::chrono::steady_clock::now();

  // "Billion laughs": each list holds the one before nine times.
  std::string laughs = kLeast + "modules_to_save: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'n'; ++name) {
    const std::string before = std::string("*") + static_cast<char>(name - 1) + ", ";
    laughs += std::string(1, name) + ": &" + name + " [" + repeated(before, 9 * before.size()) + "]\n";
  }
  CHECK(refused(laughs) == has("b: got an unknown key."));
  CHECK(refused(kLeast + "modules_to_save: &a [*a]\n") == has("modules_to_save: got a list, expected a word."));
  // One long word many times: 23 GB, were all of them copied.
  const std::string word = "data: mnist\nhead: []\nweights: &w " + repeated("w", kMost / 2) + "\n";
  for (const char* key : {"modules_to_save", "target_modules"})
    CHECK(refused(word + key + ": [" + repeated("*w,", kMost / 2) + "]\n") == has("r.yaml: "));
  CHECK(refused("data: mnist\nhead: []\nmodules_to_save: [" + repeated("a,", kMost) + "]\n") ==
        has("modules_to_save: got a list"));
  CHECK(refused(kLeast + "rank_pattern: {" + repeated("a: 1,", kMost) + "}\n") == has("rank_pattern: got a table"));

  for (const char* part : {"[", "{", "- ", "? ", "&a ", "!", ": ", "{a: ", "[{", "\xff", "%a\n", "x "}) {
    CAPTURE(part);
    CHECK(refused(repeated(part, 1 << 17)) == has("r.yaml: "));
    if (part != std::string("\n")) CHECK(refused(kLeast + "modules_to_save: " + repeated(part, 50'000)) != "no error");
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  CHECK(usage.ru_maxrss < 2'000'000);  // KiB
}
