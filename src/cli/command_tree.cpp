#include "cli/command_tree.h"

#include <algorithm>

namespace lorikeet::cli {
namespace {

// CLI11 states choices as "TEXT:{eval,normalise}".
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> out;
  const std::size_t begin = type.find('{'), end = type.rfind('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return out;
  std::string list = type.substr(begin + 1, end - begin - 1);
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    out.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

OptionText option_text(const CLI::Option& option) {
  OptionText out;
  if (option.get_positional()) {
    out.names = {option.get_name(true)};
  } else {
    for (const auto& name : option.get_snames()) out.names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) out.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() > 0) {
    const std::string type = option.get_type_name();
    out.choices = choices_in(type);
    out.value = type.substr(0, type.find_first_of(":{ "));
    if (out.value.empty()) out.value = "VALUE";
    out.default_value = option.get_default_str();
  }
  out.description = option.get_description();
  out.is_required = option.get_required();
  out.is_list = option.get_items_expected_max() > 1;
  return out;
}

CommandText tree_of(const CLI::App& app, std::vector<std::string> path) {
  path.push_back(app.get_name());
  CommandText out;
  out.description = app.get_description();
  out.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? out.arguments : out.options).push_back(option_text(*option));
  for (const CLI::App* command : app.get_subcommands({})) out.commands.push_back(tree_of(*command, path));
  out.takes_recipe_keys = path.size() == 2 && (path[1] == "train" || path[1] == "compare");
  out.path = std::move(path);
  return out;
}

}  // namespace

CommandText command_tree(const CLI::App& app) { return tree_of(app, {}); }

}  // namespace lorikeet::cli
