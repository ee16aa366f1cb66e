// train/recipe.h: a recipe in YAML. Writing and reading the result must reproduce it.
#include "fuzz.h"
#include "train/recipe.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  Recipe recipe;
  if (!accepted([&] { recipe = load_recipe(file.hold(data, size), {}); })) return 0;
  const std::string written = recipe_yaml(recipe);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(written.data());
  require(recipe_yaml(load_recipe(file.hold(bytes, written.size()), {})) == written,
          "a recipe that is written reads back as the same");
  return 0;
}
