#include "fetch/package.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "fetch/child_process.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::size_t kLongestLine = 300;
constexpr const char* kCheckNetwork = "Check the network and the client's settings.";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Rejects everything that a client could interpret as an option, path, URL or list. A slash is allowed only in npm's
// "@scope/name".
bool is_plain(std::string_view text, bool may_be_scoped) {
  constexpr std::string_view kOthers = "._+~-";
  if (may_be_scoped && text.starts_with('@')) {
    const std::size_t slash = text.find('/');
    return slash != text.npos && is_plain(text.substr(1, slash - 1), false) && is_plain(text.substr(slash + 1), false);
  }
  return !text.empty() && is_alphanumeric(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alphanumeric(c) || kOthers.find(c) != kOthers.npos;
  });
}

struct Client {
  const char* registry;
  const char* install_hint;
  const char* failure_hint;
  std::vector<std::string> arguments;
};

Client client_for(PackageRegistry registry, const std::string& name, const std::string& version,
                  const std::string& folder) {
  const auto with = [&](const char* separator) { return version.empty() ? name : name + separator + version; };
  switch (registry) {
    case PackageRegistry::kPypi:  // wheels only: pip would run the setup.py of anything else
      return {"PyPI",
              "Install Python 3 with pip.",
              kCheckNetwork,
              {"python3", "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check",
               "--only-binary", ":all:", "-d", folder, with("==")}};
    case PackageRegistry::kNpm:
      return {"npm",
              "Install npm.",
              kCheckNetwork,
              {"npm", "pack", with("@"), "--pack-destination", folder, "--ignore-scripts", "--loglevel", "error"}};
    case PackageRegistry::kDebian:
      return {"Debian",
              "It comes with Debian and Ubuntu only.",
              "Run 'apt-get update' if its lists are old or missing, and check the network.",
              {"apt-get", "download", with("=")}};
  }
  __builtin_unreachable();
}

// Returns the last line with a message. npm's last line only names a log file.
std::string last_line(const std::string& output) {
  std::string_view rest = output;
  while (!rest.empty()) {
    const std::size_t at = rest.rfind('\n');
    std::string_view line = at == rest.npos ? rest : rest.substr(at + 1);
    rest = at == rest.npos ? std::string_view() : rest.substr(0, at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '.')) line.remove_suffix(1);
    if (!line.empty() && line.find("complete log of this run") == line.npos) return printable(line, kLongestLine);
  }
  return "nothing";
}

// A new folder, removed on destruction.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& parent) {
    std::string name = (parent / ".package.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(parent.string(), ": cannot be written: ", std::strerror(errno), ".");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

fs::path fetch_package(PackageRegistry registry, const std::string& name, const std::string& version,
                       const fs::path& folder) {
  constexpr const char* kExpected = "', expected letters, digits and . _ + ~ -, a letter or a digit first.";
  if (!is_plain(name, registry == PackageRegistry::kNpm))
    fail_usage("package: got the name '", printable(name), kExpected);
  if (!version.empty() && !is_plain(version, false)) {
    fail_usage("package ", name, ": got the version '", printable(version), kExpected);
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(folder.string(), ": cannot be created: ", error.message(), ".");
  const TemporaryFolder temporary(fs::absolute(folder));
  const Client client = client_for(registry, name, version, temporary.path().string());
  const std::string& program = client.arguments.front();
  const std::string where = cat(client.registry, " package ", name);

  const ChildResult result = run_child({.arguments = client.arguments, .working_folder = temporary.path()});
  const std::string last = last_line(result.output);
  if (result.missing)
    fail(where, ": got no ", program, " on this machine, expected it to fetch the package. ", client.install_hint);
  if (result.timed_out)
    fail(where, ": ", program, " was stopped after 10 minutes; its last line: ", last, ". Check the network.");
  if (result.status != 0) {
    fail(where, ": ", program, " failed with status ", result.status, ": ", last, ". ", client.failure_hint);
  }

  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(temporary.path())) {
    if (entry.symlink_status().type() == fs::file_type::regular) files.push_back(entry.path());
  }
  if (files.size() != 1) {
    fail(where, ": got ", counted(files.size(), "file"), " from ", program, ", expected 1; its last line: ", last, ".");
  }
  const fs::path destination = folder / files.front().filename();
  fs::rename(files.front(), destination, error);
  if (error) fail(destination.string(), ": cannot be written: ", error.message(), ".");
  return destination;
}

}  // namespace lorikeet
