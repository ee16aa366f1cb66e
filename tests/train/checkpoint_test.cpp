#include "train/checkpoint.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "train/small_model.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

Checkpoint checkpoint_of_step(std::int64_t step) {
  Checkpoint out;
  out.state.step = step;
  out.state.rate_factor = 0.1;
  out.state.plan.segment = {Segment::kFrozenPrefix, Segment::kTrained};
  out.state.plan.frontier = {0};
  out.state.network.add("a", at::full({2, 3}, static_cast<double>(step)));
  out.state.optimizer.first.push_back(at::ones({2, 3}));
  out.recipe = "epochs: 3\n# ünï\n";
  out.base_sha256 = "base";
  out.data = "data";
  out.metrics_bytes = 123;
  return out;
}

std::set<std::string> file_names(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.insert(entry.path().filename().string());
  return out;
}

}  // namespace

TEST_CASE("a checkpoint is read as it was written, and the last two are kept") {
  const TemporaryFolder folder;
  std::vector<std::string> notes;
  CHECK_FALSE(read_last_checkpoint(folder.path / "none", notes).has_value());
  for (const std::int64_t step : {2, 10, 10, 11}) write_checkpoint(folder.path, checkpoint_of_step(step));
  CHECK(file_names(folder.path) == std::set<std::string>{"step-10.safetensors", "step-11.safetensors"});
  const auto found = read_last_checkpoint(folder.path, notes);
  REQUIRE(found.has_value());
  CHECK(found->state.step == 11);
  CHECK(found->state.rate_factor == 0.1);
  CHECK(at::equal(*found->state.network.find("a"), at::full({2, 3}, 11.0)));
  CHECK(found->recipe == "epochs: 3\n# ünï\n");
  CHECK(found->base_sha256 == "base");
  CHECK(found->data == "data");
  CHECK(found->metrics_bytes == 123);
  CHECK(notes.empty());
  // Later ones do not belong to a run that went back.
  write_checkpoint(folder.path, checkpoint_of_step(5));
  CHECK(file_names(folder.path) == std::set<std::string>{"step-5.safetensors"});
}

TEST_CASE("a damaged checkpoint is ignored with a note, all damaged ones are an error") {
  const TemporaryFolder folder;
  write_checkpoint(folder.path, checkpoint_of_step(1));
  write_checkpoint(folder.path, checkpoint_of_step(2));
  write_file(folder.path / "step-x.safetensors", "");
  write_file(folder.path / "step-3.txt", "");
  fs::resize_file(folder.path / "step-2.safetensors", fs::file_size(folder.path / "step-2.safetensors") - 1);
  std::vector<std::string> notes;
  const auto found = read_last_checkpoint(folder.path, notes);
  REQUIRE(found.has_value());
  CHECK(found->state.step == 1);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] == has("step-2.safetensors: got "));
  CHECK(notes[0] == has("The file is truncated. The checkpoint is ignored."));
  write_file(folder.path / "step-1.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  notes.clear();
  CHECK(refusal([&] { read_last_checkpoint(folder.path, notes); }) == has("got no readable checkpoint"));
}

TEST_CASE("a checkpoint with impossible values is ignored like a damaged one") {
  const auto refused = [](const std::function<void(Checkpoint&)>& spoil) {
    const TemporaryFolder folder;
    write_checkpoint(folder.path, checkpoint_of_step(1));
    Checkpoint spoiled = checkpoint_of_step(2);
    spoil(spoiled);
    write_checkpoint(folder.path, spoiled);
    std::vector<std::string> notes;
    const auto found = read_last_checkpoint(folder.path, notes);
    REQUIRE(found.has_value());
    CHECK(found->state.step == 1);
    return join(notes, "\n");
  };
  CHECK(refused([](Checkpoint& c) {
          c.state.network.set("a", at::full({2, 3}, NAN));
        }) == has("network.a: got values that are not finite float32 numbers"));
  CHECK(refused([](Checkpoint& c) {
          c.state.optimizer.first[0] = at::ones({2, 3}, at::kInt);
        }) == has("optimizer.first.0: got values"));
  for (const double factor : {-1.0, 0.0, 1.5})
    CHECK(refused([=](Checkpoint& c) { c.state.rate_factor = factor; }) == has("rate_factor: got"));
  CHECK(refused([](Checkpoint& c) { c.state.optimizer.steps = 1000; }) == has("optimizer_steps: got 1000"));
}
