#include "fetch/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxOutput = 1 << 16;
constexpr int kPollMs = 20;      // maximum delay until an exit that does not close the pipe is noticed
constexpr int kSignalled = 128;  // shells' convention

// The read end of a pipe from a child process.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail("pipe: cannot be created: ", std::strerror(errno), ".");
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    close_writer();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

  /// Waits until data is available, for at most some milliseconds.
  void wait() const {
    pollfd entry{ended_ ? -1 : ends_[0], POLLIN, 0};
    ::poll(&entry, 1, kPollMs);
  }

  /// Appends the available data and keeps only the end of `output`.
  void drain(std::string& output) {
    std::array<char, 4096> block{};
    ssize_t got = 0;
    while ((got = ::read(ends_[0], block.data(), block.size())) > 0) {
      output.append(block.data(), static_cast<std::size_t>(got));
      if (output.size() > 2 * kMaxOutput) output.erase(0, output.size() - kMaxOutput);
    }
    if (got == 0) ended_ = true;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool ended_ = false;
};

struct Actions {
  Actions() { posix_spawn_file_actions_init(&value); }
  ~Actions() { posix_spawn_file_actions_destroy(&value); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  posix_spawn_file_actions_t value{};
};

// Returns the exit status if the process has ended.
std::optional<int> ended(pid_t pid) {
  int status = 0;
  const pid_t got = ::waitpid(pid, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  if (got < 0) fail("waitpid: ", std::strerror(errno), ".");
  return WIFSIGNALED(status) ? kSignalled + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ChildResult run_child(const ChildProcess& child) {
  Pipe pipe;
  Actions actions;
  posix_spawn_file_actions_addopen(&actions.value, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions.value, pipe.writer(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions.value, pipe.writer(), STDERR_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions.value, child.working_folder.c_str());

  std::vector<char*> arguments;
  for (const auto& argument : child.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  ChildResult result;
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions.value, nullptr, arguments.data(), environ);
  if (error == ENOENT) {
    result.missing = true;
    return result;
  }
  if (error != 0) fail(child.arguments[0], ": cannot be started: ", std::strerror(error), ".");
  pipe.close_writer();

  const auto deadline = Clock::now() + child.timeout;
  // Waits for the exit, not for the end of the output, because a grandchild can keep the pipe open.
  std::optional<int> status;
  while (!(status = ended(pid))) {
    pipe.wait();
    pipe.drain(result.output);
    if (!result.timed_out && Clock::now() > deadline) {
      result.timed_out = true;
      ::kill(pid, SIGKILL);
    }
  }
  pipe.drain(result.output);
  result.status = *status;
  if (result.output.size() > kMaxOutput) result.output.erase(0, result.output.size() - kMaxOutput);
  return result;
}

}  // namespace lorikeet
