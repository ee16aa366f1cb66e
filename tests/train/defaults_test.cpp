#include "train/defaults.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "refusal.h"

using namespace lorikeet;

namespace {

const std::vector<DefaultBase> kBases{{"large", 260, 900'000'000, "a.*"}, {"small", 224, 400'000'000, "b.*"}};

// Key and value of all choices.
std::map<std::string, std::string> values(const DefaultsFacts& facts, const DefaultBase* base,
                                          const Recipe& recipe = {}, const std::set<std::string>& given = {}) {
  std::map<std::string, std::string> out;
  const auto choices = choose_defaults(facts, base, recipe, given);
  CHECK(choices.size() == 4);
  for (const DefaultChoice& choice : choices) {
    CHECK_FALSE(choice.reason.empty());
    for (const auto& [key, value] : choice.values) CHECK(out.emplace(key, value).second);
  }
  return out;
}

}  // namespace

TEST_CASE("the default base is the most accurate one that the time allows") {
  const auto chosen = [](std::int64_t images, std::int64_t threads, double seconds) {
    return choose_base(kBases, {.train_images = images, .threads = threads, .seconds = seconds}).model;
  };
  CHECK(chosen(244, 2, 60) == "large");
  CHECK(chosen(5000, 2, 60) == "small");
  CHECK(chosen(5000, 32, 60) == "large");
  CHECK(chosen(5000, 2, 1200) == "large");
  CHECK(chosen(1'000'000, 1, 1) == "small");
  REQUIRE(default_bases().size() == 3);
  for (std::size_t i = 1; i < default_bases().size(); ++i) CHECK(default_bases()[i].macs < default_bases()[i - 1].macs);
  CHECK(default_bases().back().model == "efficientnet_lite0");
  CHECK(default_bases().back().side == 224);
}

TEST_CASE("the defaults follow the number and the size of the images") {
  const DefaultsFacts photos{.train_images = 244, .classes = 2, .side = 375, .threads = 2};
  const auto few = values(photos, &kBases[0]);
  CHECK(few.at("model") == "large");
  CHECK(few.at("tune") == "adapter");
  CHECK(few.at("target_modules") == "a.*");
  CHECK(few.at("batch_size") == "32");
  CHECK_FALSE(few.contains("image_size"));
  const auto handful = values({.train_images = 20, .classes = 2, .side = 375}, &kBases[0]);
  CHECK(handful.at("batch_size") == "4");
  const auto many = values({.train_images = 50'000, .classes = 10, .side = 32, .threads = 2}, &kBases[1]);
  CHECK(many.at("image_size") == "96");
  CHECK(many.at("epochs") == "3");
  CHECK_FALSE(
      values({.train_images = 244, .classes = 2, .seconds = 600, .has_limit = true}, &kBases[0]).contains("epochs"));
  CHECK(std::stoi(few.at("epochs")) > 3);
}

TEST_CASE("what is given is not chosen") {
  const DefaultsFacts facts{.train_images = 244, .classes = 2, .side = 375};
  Recipe recipe;
  recipe.adapter.tune = Tuning::kFull;
  recipe.loop.batch_size = 61;
  const auto full = values(facts, nullptr, recipe, {"data", "model", "tune", "batch_size"});
  for (const char* key : {"model", "tune", "batch_size", "r", "head", "target_modules"})
    CHECK_FALSE(full.contains(key));
  CHECK(full.at("learning_rate") == "0.0001");
  const auto targets = values(facts, &kBases[0], {}, {"data", "target_modules"});
  CHECK_FALSE(targets.contains("tune"));
  CHECK(targets.at("head") == "new");
  const auto method = values(facts, &kBases[0], {}, {"data", "peft_type"});
  CHECK(method.at("target_modules") == "auto");
  CHECK(values(facts, nullptr, {}, {"data", "weights"}).at("model") == "''");
  CHECK(refusal<UsageError>([] { default_recipe({"epochs=3"}, {}); }) == has("expected a YAML file, data=FOLDER"));
}
