#include "base/available_memory.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

struct FakeMachine : TemporaryFolder {
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((path / name).parent_path());
    put(path / name, content);
  }
  void group(const std::string& folder, const std::string& limit, const std::string& used, int cache) const {
    write("sys/fs/cgroup/" + folder + "/memory.max", limit + "\n");
    write("sys/fs/cgroup/" + folder + "/memory.current", used + "\n");
    write("sys/fs/cgroup/" + folder + "/memory.stat", "anon 5\ninactive_file " + std::to_string(cache) + "\n");
  }
};

}  // namespace

TEST_CASE("what is available is the least of what the machine and each control group leave") {
  const FakeMachine machine;
  CHECK_FALSE(available_memory(machine.path).has_value());
  machine.write("proc/meminfo", "MemTotal:  4000 kB\nMemFree:  10 kB\nMemAvailable:  1000 kB\n");
  CHECK(available_memory(machine.path) == 1'024'000);

  machine.write("proc/self/cgroup", "0::/a/b\n");
  CHECK(available_memory(machine.path) == 1'024'000);
  machine.group("a/b", "max", "5000", 0);
  CHECK(available_memory(machine.path) == 1'024'000);
  machine.group("a", "900000", "500000", 100'000);  // of the parent
  CHECK(available_memory(machine.path) == 500'000);
  machine.group("a/b", "600000", "500000", 200'000);
  CHECK(available_memory(machine.path) == 300'000);
  machine.group("a/b", "600000", "700000", 0);
  CHECK(available_memory(machine.path) == 0);

  // In a container the mount itself is the group.
  const FakeMachine container;
  container.write("proc/meminfo", "MemAvailable:  1000 kB\n");
  container.write("proc/self/cgroup", "0::/system.slice/docker-1\n");
  container.group(".", "9000", "4000", 0);
  CHECK(available_memory(container.path) == 5000);

  const FakeMachine old;
  old.write("proc/meminfo", "MemAvailable:  1000 kB\n");
  old.write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n");
  old.write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "7000\n");
  old.write("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "4000\n");
  old.write("sys/fs/cgroup/memory/x/memory.stat", "total_inactive_file 1000\n");
  CHECK(available_memory(old.path) == 4000);
}

TEST_CASE("this machine says what it has") {
  REQUIRE(available_memory().has_value());
  CHECK(*available_memory() > (1 << 20));
  const std::uint64_t before = resident_memory();
  CHECK(before > (1 << 20));
  const std::string block(64 << 20, 'x');
  CHECK(resident_memory() > before + (block.size() / 2));
}
