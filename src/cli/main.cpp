// The command: reads the arguments, runs one command, turns what it throws into one line and an exit code.
#include <c10/util/Exception.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "lorikeet/version.h"

namespace lorikeet::cli {
namespace {

constexpr const char* kAbout =
    "Lorikeet adapts pretrained image classifiers with LoRA and ships the result as an adapter of kilobytes.\n"
    "\n"
    "  lorikeet train recipes/article/case2.yaml     train an adapter into runs/case2\n"
    "  lorikeet eval runs/case2                      its accuracy on the test images\n"
    "  lorikeet predict runs/case2 digit.png         what is on a picture\n";

int report(int status, std::string message) {
  if (const auto end = message.find('\n'); end != std::string::npos) message.resize(end);
  print_note("lorikeet: " + message);
  return status;
}

int run(int argc, char** argv) {
  CLI::App app{kAbout, "lorikeet"};
  app.set_version_flag("--version", std::string("lorikeet ") + version() + "\nlibtorch " + libtorch_version());
  app.require_subcommand(1);
  app.footer("'lorikeet COMMAND --help' says more. Weights and data are kept in $LORIKEET_HOME (default ~/.cache/lorikeet).");
  int status = 0;
  for (const auto add : {add_train, add_compare, add_eval, add_predict, add_inspect, add_models, add_data, add_doctor}) add(app, status);
  try {
    app.parse(argc, argv);
    return status;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report(kUsage, std::string(error.what()) + ". 'lorikeet --help' and 'lorikeet COMMAND --help' say what is expected.");
  } catch (const UsageError& error) {
    return report(kUsage, error.what());
  } catch (const Error& error) {
    return report(kFailed, error.what());
  } catch (const c10::Error& error) {
    return report(kFailed, std::string("internal error, please report it: ") + error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return report(kFailed, "memory: got none left, expected more. Use a smaller batch_size, or cache_gib=0.");
  } catch (const std::exception& error) {
    return report(kFailed, std::string("internal error, please report it: ") + error.what());
  }
}

}  // namespace
}  // namespace lorikeet::cli

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is a failed write like any other
  return lorikeet::cli::run(argc, argv);
}
