// Makes waiting OpenMP threads sleep instead of spin, unless the user configured otherwise. Spinning gains about 3 % on
// an idle machine, and halves the speed if other programs or the image reading threads need the cores (measured on
// two). libgomp reads its settings from the environment when it is loaded, before main and all constructors, and the
// environment cannot be extended that early. The program therefore re-executes itself with one more variable before the
// libraries' constructors run (.preinit_array), which takes a few milliseconds.
#include <alloca.h>
#include <linux/limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace {

void let_waiting_threads_sleep(int, char** arguments, char** environment) {
  static char setting[] = "OMP_WAIT_POLICY=passive";
  static char path[PATH_MAX];
  std::size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (std::strncmp(environment[count], "OMP_WAIT_POLICY=", 16) == 0) return;
  }
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return;
  path[length] = '\0';
  auto** const extended = static_cast<char**>(alloca((count + 2) * sizeof(char*)));
  std::copy_n(environment, count, extended);
  extended[count] = setting;
  extended[count + 1] = nullptr;
  execve(path, arguments, extended);  // if this fails, threads spin
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const g_before_libraries)(int, char**,
                                                                               char**) = let_waiting_threads_sleep;

}  // namespace
