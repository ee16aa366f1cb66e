// Man pages in the man(7) macros, from the texts of --help; the JSON Schema of recipes.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/command_tree.h"
#include "cli/commands.h"
#include "lorikeet/version.h"
#include "train/recipe_schema.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

// Escapes what roff interprets: backslashes, and a control character at the start of a line. "-" is a hyphen in roff,
// "\-" what people type.
std::string roff(const std::string& text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    at_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// Indented lines keep their layout; the others flow.
std::string paragraphs(const std::string& text) {
  std::string out;
  bool is_layout = false;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const bool is_indented = line.starts_with("  ");
    if (is_indented != is_layout) out += is_indented ? ".PP\n.nf\n" : ".fi\n.PP\n";
    is_layout = is_indented;
    out += line.empty() ? ".PP\n" : roff(line) + (is_indented ? "\n" : "\n.br\n");
    begin = end + 1;
  }
  return out + (is_layout ? ".fi\n" : "");
}

std::string synopsis(const CommandText& command) {
  std::string out = cat(".B ", roff(join(command.path, " ")), "\n");
  if (!command.options.empty()) out += "[\\fIoptions\\fR]\n";
  if (!command.commands.empty()) out += "\\fIcommand\\fR\n";
  for (const auto& argument : command.arguments) {
    const std::string name = cat("\\fI", roff(argument.names.front()), "\\fR", argument.is_list ? " ..." : "");
    out += (argument.is_required ? name : "[" + name + "]") + "\n";
  }
  return out + ".br\n";
}

std::string option_entries(const std::vector<OptionText>& options, bool are_arguments) {
  std::string out;
  for (const auto& option : options) {
    std::vector<std::string> names;
    for (const auto& name : option.names) names.push_back(cat(are_arguments ? "\\fI" : "\\fB", roff(name), "\\fR"));
    out += cat(".TP\n", join(names, ", "),
               are_arguments || option.value.empty() ? "" : cat(" \\fI", roff(option.value), "\\fR"), "\n",
               roff(option.description), "\n");
    if (!option.choices.empty()) out += cat("One of ", roff(join(option.choices, ", ")), ".\n");
    if (!option.default_value.empty()) out += cat("Default: ", roff(option.default_value), ".\n");
  }
  return out;
}

std::string body_of(const CommandText& command, const char* heading) {
  std::string out;
  if (!command.arguments.empty()) out += cat(heading, " ARGUMENTS\n", option_entries(command.arguments, true));
  if (!command.options.empty()) out += cat(heading, " OPTIONS\n", option_entries(command.options, false));
  if (!command.footer.empty()) out += cat(heading, " NOTES\n", paragraphs(command.footer));
  return out;
}

// The command with these names, each in the one before it: {"data", "check"}.
const CommandText& find_command(const CommandText& root, const std::vector<std::string>& words) {
  const CommandText* found = &root;
  for (const std::string& word : words) {
    if (found == &root && word == "lorikeet") continue;
    std::vector<std::string> names;
    for (const auto& command : found->commands) names.push_back(command.path.back());
    const auto at = std::find(names.begin(), names.end(), word);
    if (at == names.end()) {
      fail_usage("'", printable(word), "': got an unknown command",
                 found == &root ? "" : cat(" of '", join(found->path, " "), "'"), ".", did_you_mean(word, names));
    }
    found = &found->commands[static_cast<std::size_t>(at - names.begin())];
  }
  return *found;
}

}  // namespace

std::string man_page(const CommandText& command) {
  const std::string name = join(command.path, "-");
  const std::string brief = command.description.substr(0, command.description.find('\n'));
  std::string out = cat(".TH ", upper(roff(name)), " 1 \"\" \"lorikeet ", version(), "\" \"Lorikeet\"\n.SH NAME\n",
                        roff(name), " \\- ", roff(brief), "\n.SH SYNOPSIS\n", synopsis(command));
  if (brief.size() < command.description.size())
    out += ".SH DESCRIPTION\n" + paragraphs(command.description.substr(brief.size() + 1));
  out += body_of(command, ".SH");
  if (command.path.size() == 1) {
    out += ".SH COMMANDS\n";
    for (const auto& child : command.commands) {
      out += cat(".TP\n\\fB", roff(join(child.path, "-")), "\\fR(1)\n", roff(child.description), "\n");
    }
    return out;
  }
  for (const auto& child : command.commands) {
    out += cat(".SH ", upper(roff(join(child.path, " "))), "\n", roff(child.description), "\n.PP\n", synopsis(child),
               body_of(child, ".SS"));
  }
  std::vector<std::string> parents = command.path;
  parents.pop_back();
  return out + cat(".SH SEE ALSO\n.BR ", roff(join(parents, "-")), " (1)\n");
}

void add_man(CLI::App& app, int& status) {
  struct ManOptions {
    std::vector<std::string> command;
    std::string out;
  };
  auto* command = app.add_subcommand("man", "Print the man page of the program or a command");
  auto options = std::make_shared<ManOptions>();
  command->add_option("command", options->command,
                      "A command, such as train or data check; without one, the page of the program");
  command->add_option("--out", options->out, "Write the pages of all commands as *.1 files into this folder")
      ->type_name("FOLDER");
  command->footer("'lorikeet man train | man -l -' shows a page.");
  command->callback([&app, options, &status] {
    status = 0;
    const CommandText root = command_tree(app);
    if (options->out.empty()) {
      std::fputs(man_page(find_command(root, options->command)).c_str(), stdout);
      return;
    }
    std::error_code error;
    fs::create_directories(options->out, error);
    if (error) fail(options->out, ": cannot be created: ", error.message(), ".");
    write_file(fs::path(options->out) / "lorikeet.1", man_page(root));
    for (const auto& each : root.commands)
      write_file(fs::path(options->out) / (join(each.path, "-") + ".1"), man_page(each));
  });
}

void add_schema(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("schema", "Print the JSON Schema of recipes, for editors");
  command->footer(
      "Save it beside the recipes and begin each with the line\n"
      "  # yaml-language-server: $schema=recipe.schema.json\n"
      "Editors with a YAML language server then complete keys, show their meanings, and mark errors.");
  command->callback([&status] {
    std::printf("%s\n", json_text(recipe_schema(), 2).c_str());
    status = 0;
  });
}

}  // namespace lorikeet::cli
