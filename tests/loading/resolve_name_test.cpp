#include "loading/resolve_name.h"

#include <doctest/doctest.h>

#include "loading/loaded_model.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

TEST_CASE("a name is what there is under it: an adapter, a run, a file, or else a model") {
  const TemporaryFolder folder;
  const auto at = [&](const char* name) { return (folder.path / name).string(); };
  fs::create_directories(folder.path / "run/adapter");
  fs::create_directories(folder.path / "empty");
  put(folder.path / "run/adapter/adapter_config.json", "{}");
  put(folder.path / "w.pth", "x");

  for (const char* name : {"run", "run/", "run/adapter", "run/adapter/"}) {
    CAPTURE(name);
    const ResolvedName found = resolve_name(at(name));
    CHECK((found.kind == NameKind::kAdapter));
    CHECK(fs::equivalent(found.path, folder.path / "run/adapter"));
    CHECK(fs::equivalent(find_adapter(at(name)), folder.path / "run/adapter"));
  }
  fs::create_directories(folder.path / "search");
  put(folder.path / "search/winner.lorikeet", "x");
  CHECK(resolve_name(at("search")).path == at("search/winner.lorikeet"));
  CHECK((resolve_name(at("w.pth")).kind == NameKind::kWeightsFile));
  CHECK(resolve_name(at("w.pth")).path == at("w.pth"));
  CHECK((resolve_name("resnet50.v1").kind == NameKind::kModel));
  CHECK((resolve_name("no-such-model").kind == NameKind::kModel));  // find_model() says what there is
  put(folder.path / "empty/config.json", "{}");
  CHECK((resolve_name(at("empty")).kind == NameKind::kModelFolder));
  CHECK(resolve_name(at("empty")).path == at("empty"));
  fs::remove(folder.path / "empty/config.json");
  CHECK((resolve_name("google/vit-base-patch16-224").kind == NameKind::kHubModel));
  CHECK((resolve_name("hf-hub:timm/resnet50.a1_in1k@v1").kind == NameKind::kHubModel));

  CHECK(refusal([&] { resolve_name(at("empty")); }) == has("got a folder without adapter_config.json"));
  CHECK(refusal([&] { resolve_name(at("absent")); }) == has("not found, expected the folder"));
  for (const char* name : {"empty", "absent", "w.pth"}) {
    CAPTURE(name);
    CHECK_FALSE(adapter_path(at(name)).has_value());
    CHECK(
        refusal([&] { find_adapter(at(name)); }) ==
        has(std::string(name) + ": got no adapter, expected the folder or file of an adapter, or the folder of a run"));
  }
}

TEST_CASE("a base is a model or a weights file") {
  const TemporaryFolder folder;
  const std::string file = (folder.path / "w.pth").string();
  put(file, "x");
  CHECK(base_choice("resnet50", {.weights = "v.pth"}).model == "resnet50");
  CHECK(base_choice("resnet50", {.weights = "v.pth"}).weights == "v.pth");
  CHECK(base_choice(file, {.model = "resnet18"}).model == "resnet18");
  CHECK(base_choice(file, {}).weights == file);
  fs::create_directories(folder.path / "adapter");
  put(folder.path / "adapter/adapter_config.json", "{}");
  CHECK(refusal<UsageError>([&] { base_choice((folder.path / "adapter").string(), {}); }) == has("got an adapter"));
}
