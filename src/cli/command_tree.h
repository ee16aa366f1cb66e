// The commands and their options as data, for shell completion and man pages: the same texts as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lorikeet::cli {

struct OptionText {
  std::vector<std::string> names;  // "-q", "--quiet"; for an argument its one name
  std::string value;               // "FILE"; empty for a flag
  std::vector<std::string> choices;
  std::string description;
  std::string default_value;
  bool is_required = false;
  bool is_list = false;
};

struct CommandText {
  std::vector<std::string> path;  // {"lorikeet", "data", "get"}
  std::string description;
  std::string footer;
  std::vector<OptionText> arguments;
  std::vector<OptionText> options;
  std::vector<CommandText> commands;
  /// Whether arguments may be key=value of a recipe.
  bool takes_recipe_keys = false;
};

CommandText command_tree(const CLI::App& app);

/// The scripts for bash, zsh and fish.
std::string bash_completion(const CommandText& root);
std::string zsh_completion(const CommandText& root);
std::string fish_completion(const CommandText& root);

/// The man page of the program or of one of its commands, with the commands in it.
std::string man_page(const CommandText& command);

}  // namespace lorikeet::cli
