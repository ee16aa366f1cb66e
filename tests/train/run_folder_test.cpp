#include "train/run_folder.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/file.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

std::string read(const fs::path& path) { return read_file(path, 1000); }

std::set<std::string> names_in(const fs::path& path) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(path)) out.insert(entry.path().filename().string());
  return out;
}

}  // namespace

TEST_CASE("a run's folder is claimed and written as the run goes") {
  const TemporaryFolder folder;
  const fs::path path = folder.path / "runs" / "a";
  CHECK_FALSE(is_run_folder(path));
  RunFolder run(path, /*replace=*/false);
  CHECK(run.path() == path);
  CHECK(run.adapter() == path / "adapter");
  CHECK(fs::is_directory(path));
  CHECK_FALSE(is_run_folder(path));  // not before it holds something that a second run would destroy
  run.write_recipe("epochs: 3\n");
  CHECK(is_run_folder(path));
  run.add_metrics({{"step", 1}, {"loss", 0.5}});
  run.add_metrics({{"step", 2}});
  run.add_log("a line");
  run.add_log("");
  // While the run is still open: a crash must not lose them.
  CHECK(read(path / "recipe.yaml") == "epochs: 3\n");
  CHECK(read(path / "metrics.jsonl") == "{\"step\":1,\"loss\":0.5}\n{\"step\":2}\n");
  CHECK(read(path / "log.txt") == "a line\n\n");
  run.write_summary({{"status", "finished"}});
  CHECK(Json::parse(read(path / "summary.json"))["status"] == "finished");
}

TEST_CASE("a second run needs permission, and keeps what is not of a run") {
  for (const char* part : {"recipe.yaml", "summary.json", "adapter"}) {
    CAPTURE(part);
    const TemporaryFolder folder;
    const fs::path path = folder.path / "run";
    if (std::string(part) == "adapter") {
      write_file(path / "adapter/adapter_config.json", "{}");
    } else {
      write_file(path / part, "{}");
    }
    write_file(path / "metrics.jsonl", "{}\n");
    write_file(path / "notes.txt", "mine");
    CHECK(refusal<UsageError>([&] { RunFolder(path, /*replace=*/false); }) ==
          path.string() +
              ": got a folder that holds a run already. Name another with run=FOLDER, replace it with --force, or "
              "continue "
              "it with --resume FOLDER.");
    CHECK(fs::exists(path / part));
    CHECK(read(path / "metrics.jsonl") == "{}\n");

    RunFolder run(path, /*replace=*/true);
    run.write_recipe("epochs: 3\n");
    run.add_metrics({{"step", 1}});
    CHECK(fs::exists(path / part));  // until the new run has a checkpoint
    CHECK(read(path / "metrics.jsonl") == "{}\n");
    CHECK_FALSE(run.has_checkpoint());
    CHECK(refusal([&] { run.checkpoint([](const fs::path&) { throw Error("disk full"); }); }) == "disk full");
    CHECK(fs::exists(path / part));
    run.checkpoint([](const fs::path& adapter) {
      fs::remove_all(adapter);
      write_file(adapter / "adapter_config.json", "new");
    });
    CHECK(run.has_checkpoint());
    run.add_metrics({{"step", 2}});
    CHECK(read(path / "recipe.yaml") == "epochs: 3\n");
    CHECK(read(path / "metrics.jsonl") == "{\"step\":1}\n{\"step\":2}\n");
    CHECK(read(path / "adapter/adapter_config.json") == "new");
    CHECK_FALSE(fs::exists(path / "summary.json"));
    CHECK(read(path / "notes.txt") == "mine");
    CHECK(names_in(path) == std::set<std::string>{"adapter", "log.txt", "metrics.jsonl", "notes.txt", "recipe.yaml"});
  }
}

TEST_CASE("a run that is discarded takes its folder along, unless something else is in it") {
  const TemporaryFolder folder;
  for (const bool has_notes : {false, true}) {
    const fs::path path = folder.path / "run";
    if (has_notes) write_file(path / "notes.txt", "mine");
    RunFolder run(path, /*replace=*/false);
    run.write_recipe("epochs: 3\n");
    run.discard();
    CHECK_FALSE(is_run_folder(path));
    CHECK(fs::exists(path) == has_notes);
    CHECK(fs::exists(path / "notes.txt") == has_notes);
    CHECK_FALSE(fs::exists(path / "log.txt"));
  }
}

TEST_CASE("a place that cannot hold a folder is an Error") {
  const TemporaryFolder folder;
  write_file(folder.path / "file", "");
  CHECK(refusal([&] { RunFolder(folder.path / "file", false); }) == has("file: cannot be created: "));
  CHECK(refusal([&] { RunFolder(folder.path / "file" / "run", false); }) == has("run: cannot be created: "));
  fs::create_directories(folder.path / "taken" / "log.txt");
  CHECK(refusal([&] { RunFolder(folder.path / "taken", false); }) == has("log.txt: cannot be written: "));
}

TEST_CASE("a run that fails before its first checkpoint leaves the old run as it was") {
  const TemporaryFolder folder;
  const fs::path path = folder.path / "run";
  write_file(path / "recipe.yaml", "old");
  write_file(path / "adapter/adapter_config.json", "old");
  write_file(path / "summary.json", "old");
  {
    RunFolder run(path, /*replace=*/true);
    run.write_recipe("new");
    run.add_log("new");
    run.discard();
  }
  CHECK(names_in(path) == std::set<std::string>{"adapter", "recipe.yaml", "summary.json"});
  CHECK(read(path / "recipe.yaml") == "old");
  // What a killed process left is removed by the next one.
  write_file(path / ".run.Ab3dEf/log.txt", "");
  write_file(path / ".adapter.Ab3dEf/x", "");
  write_file(path / ".notes", "mine");
  RunFolder run(path, /*replace=*/true);
  run.checkpoint([](const fs::path& adapter) { write_file(adapter / "adapter_config.json", "new"); });
  CHECK(names_in(path) == std::set<std::string>{".notes", "adapter", "log.txt", "metrics.jsonl"});
}

TEST_CASE("a folder belongs to one run at a time") {
  const TemporaryFolder folder;
  const fs::path path = folder.path / "run";
  const auto claimed = [&](bool replace) { return refusal<UsageError>([&] { RunFolder(path, replace); }); };
  {
    RunFolder run(path, /*replace=*/false);
    run.write_recipe("epochs: 3\n");
    for (const bool replace : {false, true})
      CHECK(claimed(replace) == has("run: got a folder in which another process is training"));
    CHECK(read(path / "recipe.yaml") == "epochs: 3\n");
    const RunFolder other(folder.path / "other", /*replace=*/false);
  }
  CHECK(claimed(false) == has("holds a run already"));
  CHECK(claimed(true) == "no error");
}

TEST_CASE("a slash at the end of a folder's name means nothing") {
  CHECK(without_trailing_slash("runs/a/") == "runs/a");
  CHECK(without_trailing_slash("runs/a//") == "runs/a");
  CHECK(without_trailing_slash("a") == "a");
  CHECK(without_trailing_slash("/") == "/");
  const TemporaryFolder folder;
  const RunFolder run(folder.path / "run/", /*replace=*/false);
  CHECK(run.path() == folder.path / "run");
  CHECK(run.adapter() == folder.path / "run/adapter");
}

TEST_CASE("a run is continued in its folder") {
  const TemporaryFolder folder;
  const fs::path path = folder.path / "run";
  const auto refused = [&] { return refusal<UsageError>([&] { RunFolder(path, RunFolder::Existing{}); }); };
  CHECK(refused() == has("run: got a folder without recipe.yaml, expected the folder of a run."));
  {
    RunFolder run(path, /*replace=*/false);
    run.write_recipe("epochs: 3\n");
    run.add_metrics({{"step", 1}});
    CHECK(refused() == has("another process is training"));
    run.checkpoint([](const fs::path& adapter) { write_file(adapter / "adapter_config.json", "{}"); },
                   [&](const fs::path& checkpoints) { write_file(checkpoints / "step-1.safetensors", "state"); });
    CHECK(run.sync_metrics() == 11);
    run.add_metrics({{"step", 2}});
    run.add_log("first");
    run.write_summary({{"status", "finished"}});
  }
  write_file(path / "checkpoints/.step-2.safetensors.Ab3dEf", "half");
  RunFolder run(path, RunFolder::Existing{});
  CHECK(names_in(run.checkpoints()) == std::set<std::string>{"step-1.safetensors"});
  CHECK(run.sync_metrics() == 22);
  run.truncate_metrics(11);
  run.add_metrics({{"step", 3}});
  run.add_log("second");
  CHECK(read(path / "metrics.jsonl") == "{\"step\":1}\n{\"step\":3}\n");
  CHECK(read(path / "log.txt") == "first\nsecond\n");
  run.truncate_metrics(15);  // an incomplete line
  CHECK(run.sync_metrics() == 11);
  CHECK(fs::exists(path / "summary.json"));  // until there is more than it describes
  run.checkpoint([](const fs::path&) {});
  CHECK_FALSE(fs::exists(path / "summary.json"));
}

TEST_CASE("a replacement that was cut off is finished by the next process") {
  for (const bool adapter_was_exchanged : {false, true}) {
    const TemporaryFolder folder;
    const fs::path path = folder.path / "run";
    write_file(path / "recipe.yaml", "old");
    write_file(path / "summary.json", "old");
    write_file(path / "adapter/adapter_config.json", adapter_was_exchanged ? "new" : "old");
    write_file(path / "checkpoints/step-7.safetensors", "old");
    write_file(path / "checkpoints/step-8.safetensors", "old");
    write_file(path / ".run.complete/recipe.yaml", "new");
    write_file(path / ".run.complete/metrics.jsonl", "{}\n");
    write_file(path / ".run.complete/adapter/adapter_config.json", adapter_was_exchanged ? "old" : "new");
    write_file(path / ".run.complete/checkpoints/step-2.safetensors", "new");
    const RunFolder run(path, RunFolder::Existing{});
    CHECK(read(path / "recipe.yaml") == "new");
    CHECK(read(path / "metrics.jsonl") == "{}\n");
    CHECK(read(path / "adapter/adapter_config.json") == (adapter_was_exchanged ? "new" : "old"));
    CHECK(names_in(run.checkpoints()) == std::set<std::string>{"step-2.safetensors"});
    CHECK_FALSE(fs::exists(path / "summary.json"));
    CHECK_FALSE(fs::exists(path / ".run.complete"));
  }
}
