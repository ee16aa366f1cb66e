#include "loading/loaded_model.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "fetch/environment.h"
#include "loading/base_file.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

// Bytes that this process has read so far.
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t value = 0;
  io >> key >> value;
  REQUIRE(key == "rchar:");
  return value;
}

}  // namespace

TEST_CASE("a weights file is read once, also where it must say which model it is of") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "w.safetensors";
  write_base(file, 1);
  const auto size = static_cast<double>(fs::file_size(file));
  for (const char* name : {"", kModel}) {
    CAPTURE(name);
    const std::uint64_t before = bytes_read();
    const BaseModel base = load_base_model({name, file}, {});
    CHECK(static_cast<double>(bytes_read() - before) < 1.2 * size);
    CHECK(base.entry->name == kModel);
    CHECK(base.weights_name == "w.safetensors");
    CHECK(base.weights_file == fs::absolute(file));
    CHECK(base.notes.empty());
  }
}

TEST_CASE("of a file that is no adapter's only the beginning is read") {
  const TemporaryFolder folder;
  for (const std::string& begin : {std::string("none"), std::string("\x89LK\x01\xff\xff\xff\x7f")}) {
    const fs::path file = folder.path / "x.lorikeet";
    put(file, begin);
    fs::resize_file(file, std::uint64_t{48} << 20);
    const std::uint64_t before = bytes_read();
    CHECK(refusal([&] { read_adapter(file); }) == has(": got a"));
    CHECK(bytes_read() - before < std::uint64_t{1} << 16);
  }
}

TEST_CASE("an adapter of a weights file opens without naming it while the file is the same") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "w.safetensors";
  const std::string adapter = (folder.path / "adapter").string();
  write_base(file, 1);
  write_adapter(adapter, file);
  const LoadedModel loaded = load_model(adapter, {}, {});
  CHECK(loaded.entry->name == kModel);
  CHECK(loaded.weights_file == fs::absolute(file));

  fs::rename(file, folder.path / "moved.safetensors");
  const std::string gone = refusal([&] { load_model(adapter, {}, {}); });
  CHECK(gone == has("got no base weights; the adapter was trained on the file 'w.safetensors'"));
  CHECK(gone == has("is no longer at " + fs::absolute(file).string() + ". Name it with --weights."));
  // Named, it opens, and is known at its new place.
  const fs::path place = folder.path / "moved.safetensors";
  CHECK(load_model(adapter, {.weights = place}, {}).weights_file == place);
  CHECK(load_model(adapter, {}, {}).weights_file == place);

  fs::remove(place);
  fs::create_directory(place);
  CHECK(refusal([&] { load_model(adapter, {}, {}); }) == has("got no base weights"));
  fs::remove(place);
  write_base(file, 1);
  load_base_model({kModel, file}, {}).sha256.wait();
  write_base(file, 2);
  CHECK(refusal([&] { load_model(adapter, {}, {}); }) == has("got base weights 'w.safetensors' with SHA-256"));
  CHECK(load_model(adapter, {.force = true}, {}).weights_file == fs::absolute(file));
  put(file, "something else");
  CHECK(refusal([&] { load_model(adapter, {}, {}); }) == has("w.safetensors: got a file of an unknown kind"));
}

TEST_CASE("an adapter records no folder of this machine, and asks for the file where it is unknown") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "caf\xe9.safetensors", adapter = folder.path / "a";
  write_base(file, 3);
  write_adapter(adapter, file);
  CHECK(read_file(adapter / "lorikeet.json", 1 << 20).find(folder.path.string()) == std::string::npos);
  CHECK(load_model(adapter.string(), {}, {}).weights_file == file);
  const fs::path copy = folder.path / "copy.safetensors";
  fs::copy_file(file, copy);
  load_base_model({kModel, copy}, {}).sha256.wait();
  CHECK(load_model(adapter.string(), {}, {}).weights_file == copy);
  fs::remove(copy);
  CHECK(load_model(adapter.string(), {}, {}).weights_file == file);
  put(folder.path / "file", "");
  for (const fs::path& home : {folder.path / "other", folder.path / "file"}) {  // the second cannot be written
    const ScopedEnvironment elsewhere("LORIKEET_HOME", home.string());
    CHECK(refusal([&] { load_model(adapter.string(), {}, {}); }) == has("'. Name it with --weights."));
    CHECK(load_model(adapter.string(), {.weights = file}, {}).weights_file == file);
  }
}
