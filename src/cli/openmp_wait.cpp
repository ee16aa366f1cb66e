// OpenMP's waiting threads spin, which gains some 3 % on a quiet machine and halves the speed where other programs, or
// the threads that read images, want the cores (measured on two). Here they sleep instead, unless the user has said
// otherwise. libgomp reads its settings from the environment when it is loaded, before main and before any constructor
// of ours, and the environment cannot be extended that early: so the program starts itself again with one variable
// more, before the libraries' constructors have run (.preinit_array), which costs some milliseconds.
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
  execve(path, arguments, extended);  // where this fails, threads spin
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const g_before_libraries)(int, char**,
                                                                               char**) = let_waiting_threads_sleep;

}  // namespace
