// The command: parses arguments, runs one command, and converts exceptions to one line and an exit code.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "api/boundary.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/status_line.h"
#include "kernels/buffer_pool.h"
#include "lorikeet/version.h"
#include "train/recipe.h"
#include "train/recipe_key.h"

namespace lorikeet::cli {
namespace {

constexpr const char* kAbout =
    "Lorikeet adapts pretrained image classifiers with LoRA and saves the result as an adapter of kilobytes.\n"
    "\n"
    "  lorikeet train recipes/article/case2.yaml     train an adapter into runs/case2\n"
    "  lorikeet eval runs/case2                      measure its accuracy on the test images\n"
    "  lorikeet predict runs/case2 digit.png         classify an image\n";

int report(int status, const std::string& message) {
  print_error(message);
  return status;
}

// Returns the message for an unknown command, for which CLI11 only reports that a command is missing. Empty if there is
// none.
std::string wrong_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* parent = &app;
  for (int i = 1; i < argc; ++i) {
    std::vector<std::string> names;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : parent->get_subcommands({})) {
      names.push_back(command->get_name());
      if (names.back() == argv[i]) found = command;
    }
    if (names.empty()) return "";
    if (found == nullptr)
      return cat("'", printable(argv[i]), "': got an unknown command.", did_you_mean(argv[i], names));
    parent = found;
  }
  return "";
}

// Returns the innermost command named by the arguments.
const CLI::App& named_command(const CLI::App& app) {
  const auto found = app.get_subcommands();
  return found.empty() ? app : named_command(*found.front());
}

// "'lorikeet train --help' says what is expected."
std::string help_hint(const CLI::App& app) {
  std::string words;
  for (const CLI::App* command = &named_command(app); command != nullptr; command = command->get_parent())
    words = cat(command->get_name(), " ", words);
  return cat("'", words, "--help' says what is expected.");
}

// The positional arguments that take key=value.
constexpr std::array kKeyArguments{"overrides", "settings", "recipes"};

// Returns the message for an unknown option if it can say more than CLI11's: for a recipe key, which is written without
// dashes, or a misspelt option. Empty otherwise.
std::string wrong_option(const CLI::App& app, int argc, char** argv) {
  const CLI::App& command = named_command(app);
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  const bool takes_keys = std::any_of(kKeyArguments.begin(), kKeyArguments.end(), [&](const char* argument) {
    return command.get_option_no_throw(argument) != nullptr;
  });
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string name = argument.substr(0, argument.find('='));
    if (!name.starts_with("--") || name == "--" || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string where = cat("'", printable(name), "': got an unknown option.");
    if (const std::string key = takes_keys ? meant_key(name.substr(2), recipe_keys()) : ""; !key.empty()) {
      const bool is_apart = name == argument && i + 1 < argc && argv[i + 1][0] != '-';
      const std::string value = name != argument ? argument.substr(name.size() + 1) : is_apart ? argv[i + 1] : "VALUE";
      return cat(where, " Recipe keys are written without dashes: ", printable(cat(key, "=", value)), ".");
    }
    if (const auto near = nearest(name, names); !near.empty()) return cat(where, " Did you mean '", near.front(), "'?");
    return cat(where, " ", help_hint(app));
  }
  return "";
}

// Returns what is missing, with the text of --help for it; CLI11 only says that it is required.
std::string missing_argument(const CLI::App& command) {
  if (const auto commands = command.get_subcommands({}); !commands.empty()) {
    std::vector<std::string> names;
    for (const CLI::App* each : commands) names.push_back(each->get_name());
    return cat("subcommand: got nothing, expected one of ", join(names, ", "), ".");
  }
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_required() || option->count() > 0) continue;
    std::string expected = option->get_description();
    if (expected.size() > 1 && std::islower(static_cast<unsigned char>(expected[1])) != 0)
      expected[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(expected[0])));
    return cat(option->get_name(), ": got nothing, expected: ", expected, ".");
  }
  return "";
}

// Adds --quiet to every command.
void add_quiet(CLI::App& app) {
  const auto commands = app.get_subcommands({});
  for (CLI::App* command : commands) add_quiet(*command);
  if (commands.empty())
    app.add_flag_callback("-q,--quiet", be_quiet, "Print only results and errors, no progress and no notes");
}

int run(int argc, char** argv) {
  CLI::App app{kAbout, "lorikeet"};
  app.set_version_flag("--version", std::string("lorikeet ") + version() + "\nlibtorch " + libtorch_version());
  app.require_subcommand(1);
  app.footer(
      "'lorikeet COMMAND --help' shows details. NO_COLOR=1 turns colours off. Weights and data are kept in "
      "$LORIKEET_HOME (default "
      "~/.cache/lorikeet).");
  int status = 0;
  for (const auto add :
       {add_train, add_search, add_compare, add_eval, add_predict, add_merge, add_export, add_inspect, add_combine,
        add_extract, add_convert, add_compress, add_models, add_data, add_doctor, add_completion, add_man, add_schema})
    add(app, status);
  add_quiet(app);
  try {
    app.parse(argc, argv);
    // A failed write before the last leaves the mark alone.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      fail("standard output: cannot be written: ", std::strerror(errno), ".");
    return status;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      app.exit(error, text);
      std::fputs(
          (isatty(STDOUT_FILENO) == 1 ? wrapped(text.str(), terminal_columns(STDOUT_FILENO)) : text.str()).c_str(),
          stdout);
      return 0;
    }
    if (const std::string wrong = wrong_command(app, argc, argv); !wrong.empty()) return report(kUsage, wrong);
    if (const std::string wrong = wrong_option(app, argc, argv); !wrong.empty()) return report(kUsage, wrong);
    const bool is_missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    const std::string missing = is_missing ? missing_argument(named_command(app)) : "";
    return report(kUsage, cat(missing.empty() ? cat(error.what(), ".") : missing, " ", help_hint(app)));
  } catch (const UsageError& error) {
    return report(kUsage, error.what());
  } catch (const Error& error) {
    return report(interrupted() ? interrupt_status() : kFailed,
                  error.what());  // Ctrl-C also ends a child process, such as pip, which then fails
  } catch (const Interrupted& at) {
    return report(interrupt_status(), at.message);
  } catch (...) {
    try {
      rethrow_as_error("command");
    } catch (const Error& error) {
      return report(kFailed, error.what());
    }
  }
}

}  // namespace
}  // namespace lorikeet::cli

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // exceeding the file size limit is an ordinary write error
  lorikeet::reuse_buffers();
  const int status = lorikeet::cli::run(argc, argv);
  std::fflush(nullptr);
  // Everything is written and synced. This skips libtorch's slow static destructors.
  std::_Exit(status);
}
