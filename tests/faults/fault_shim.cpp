// Makes the nth call that changes files fail, be cut short or be the last, for tests/faults. Loaded with LD_PRELOAD.
//
//   FAULT_FOLDER   only calls on files below this folder count
//   FAULT_TRACE    appends "NUMBER OPERATION PATH" for each of them to this file
//   FAULT_AT       the number, from 1, of the call at which the action happens
//   FAULT_ACTION   kill: dies before the call; killed: dies after it; torn: writes half and dies; stop: SIGSTOP before
//   it;
//                  ENOSPC or EIO: the call fails once; ENOSPC+ or EIO+: it and all later ones that write or sync fail
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum class Fault { kNone, kKilled, kTorn, kFails };

// Read at the first call: another library's constructor may write before ours runs.
struct Settings {
  const char* folder = std::getenv("FAULT_FOLDER");
  const char* trace = std::getenv("FAULT_TRACE");
  const char* action = std::getenv("FAULT_ACTION");
  long at = 0;
  Settings() {
    if (const char* number = std::getenv("FAULT_AT")) at = std::atol(number);
  }
};

const Settings& settings() {
  static const Settings kSettings;
  return kSettings;
}

bool is_action(const char* name) { return settings().action != nullptr && std::strcmp(settings().action, name) == 0; }

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

void trace(long number, const char* operation, const char* path) {
  if (settings().trace == nullptr) return;
  char line[PATH_MAX + 64];
  const int size = std::snprintf(line, sizeof line, "%ld %s %s\n", number, operation, path);
  const long file = ::syscall(SYS_openat, AT_FDCWD, settings().trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return;
  static_cast<void>(::syscall(SYS_write, file, line, size));
  ::syscall(SYS_close, file);
}

// Counts the call. Dies or stops here if that is the action; returns what remains to be done by the caller, with errno
// set if the call fails.
Fault next(const char* operation, const char* path, bool writes) {
  static std::atomic<long> count{0};
  const char* folder = settings().folder;
  if (folder == nullptr || path == nullptr || std::strncmp(path, folder, std::strlen(folder)) != 0) return Fault::kNone;
  const long number = ++count;
  trace(number, operation, path);
  if (settings().at == 0 || number < settings().at) return Fault::kNone;
  const bool first = number == settings().at;
  if (first && is_action("kill")) die();
  if (first && is_action("stop")) ::raise(SIGSTOP);
  if (first && is_action("killed")) return Fault::kKilled;
  if (first && is_action("torn")) return Fault::kTorn;
  const bool full = is_action("ENOSPC") || is_action("ENOSPC+");
  const bool broken = is_action("EIO") || is_action("EIO+");
  const bool persists = settings().action != nullptr && std::strchr(settings().action, '+') != nullptr;
  if ((full || broken) && (first || (persists && writes))) {
    errno = full ? ENOSPC : EIO;
    return Fault::kFails;
  }
  return Fault::kNone;
}

const char* path_of(int descriptor, char* into) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = ::readlink(link, into, PATH_MAX - 1);
  if (size <= 0) return nullptr;
  into[size] = '\0';
  return into;
}

template <typename Call>
auto with_fault(const char* operation, const char* path, bool writes, Call call) -> decltype(call()) {
  const Fault fault = next(operation, path, writes);
  if (fault == Fault::kFails) return -1;
  const auto result = call();
  if (fault != Fault::kNone) die();
  return result;
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* bytes, size_t count) {
  static auto* const call = real<ssize_t(int, const void*, size_t)>("write");
  char path[PATH_MAX];
  const Fault fault = next("write", path_of(descriptor, path), true);
  if (fault == Fault::kFails) return -1;
  const ssize_t result = call(descriptor, bytes, fault == Fault::kTorn ? count / 2 : count);
  if (fault != Fault::kNone) die();
  return result;
}

int fsync(int descriptor) {
  static auto* const call = real<int(int)>("fsync");
  char path[PATH_MAX];
  return with_fault("fsync", path_of(descriptor, path), true, [&] { return call(descriptor); });
}

int ftruncate(int descriptor, off_t size) noexcept {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  char path[PATH_MAX];
  return with_fault("ftruncate", path_of(descriptor, path), true, [&] { return call(descriptor, size); });
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return with_fault("rename", to, true, [&] { return call(from, to); });
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  static auto* const call = real<int(int, const char*, int, const char*, unsigned)>("renameat2");
  return with_fault("renameat2", to, true, [&] { return call(from_folder, from, to_folder, to, flags); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const call = real<int(const char*, mode_t)>("mkdir");
  return with_fault("mkdir", path, true, [&] { return call(path, mode); });
}

int unlink(const char* path) noexcept {
  static auto* const call = real<int(const char*)>("unlink");
  return with_fault("unlink", path, false, [&] { return call(path); });
}

int unlinkat(int folder, const char* name, int flags) noexcept {
  static auto* const call = real<int(int, const char*, int)>("unlinkat");
  char path[PATH_MAX];
  const char* where = folder == AT_FDCWD ? name : path_of(folder, path);
  return with_fault("unlinkat", where, false, [&] { return call(folder, name, flags); });
}

// Creates files.
int open(const char* path, int flags, ...) {
  static auto* const call = real<int(const char*, int, ...)>("open");
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  if ((flags & O_CREAT) == 0) return call(path, flags, mode);
  return with_fault("create", path, true, [&] { return call(path, flags, mode); });
}
}
