// Shell completion: commands, options, the choices of an option, and recipe keys with the choices of their values.
#include <cstdio>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/command_tree.h"
#include "cli/commands.h"
#include "train/recipe_schema.h"

namespace lorikeet::cli {
namespace {

// In single quotes, for all three shells.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out + "'";
}

void each_command(const CommandText& command, const std::function<void(const CommandText&)>& visit) {
  visit(command);
  for (const auto& child : command.commands) each_command(child, visit);
}

std::vector<std::string> names_of(const std::vector<CommandText>& commands) {
  std::vector<std::string> out;
  for (const auto& command : commands) out.push_back(command.path.back());
  return out;
}

// A recipe key, and the values that it may have if they are few.
struct RecipeKey {
  std::string key, meaning;
  std::vector<std::string> values;
};

std::vector<RecipeKey> completed_keys() {
  std::vector<RecipeKey> out;
  const Json whole = recipe_schema();
  for (const auto& [key, schema] : whole.at("properties").items()) {
    RecipeKey entry{key, schema.value("description", ""), {}};
    if (const auto choices = schema.find("enum"); choices != schema.end()) {
      for (const auto& choice : *choices) entry.values.push_back(choice.get<std::string>());
    } else if (schema.value("type", Json()) == "boolean") {
      entry.values = {"true", "false"};
    }
    out.push_back(std::move(entry));
  }
  return out;
}

// The first sentence, or what precedes a line break.
std::string brief(const std::string& text) {
  std::string out = text.substr(0, text.find('\n'));
  if (const std::size_t end = out.find(". "); end != std::string::npos) out.resize(end);
  return out;
}

// For zsh, a colon separates an item from its description.
std::string zsh_item(const std::string& item, const std::string& description) {
  std::string escaped;
  for (const char c : item) escaped += c == ':' ? std::string("\\:") : std::string(1, c);
  return quoted(escaped + ":" + brief(description));
}

// In zsh's _arguments, brackets end a description.
std::string zsh_description(const std::string& description) {
  std::string out;
  for (const char c : brief(description))
    out += c == '[' || c == ']' || c == ':' ? std::string{'\\', c} : std::string(1, c);
  return out;
}

}  // namespace

std::string bash_completion(const CommandText& root) {
  std::string commands, options, values;
  each_command(root, [&](const CommandText& command) {
    const std::string path = quoted(join(command.path, " "));
    if (!command.commands.empty())
      commands += cat("    ", path, ") echo ", join(names_of(command.commands), " "), " ;;\n");
    std::vector<std::string> names;
    for (const auto& option : command.options) {
      names.insert(names.end(), option.names.begin(), option.names.end());
      if (option.value.empty()) continue;
      for (const auto& name : option.names) {
        values += cat("    ", quoted(join(command.path, " ") + " " + name), ") echo ",
                      option.choices.empty() ? "@files" : join(option.choices, " "), " ;;\n");
      }
    }
    options += cat("    ", path, ") echo ", join(names, " "), " ;;\n");
  });
  std::string keys, key_values;
  for (const auto& key : completed_keys()) {
    keys += (keys.empty() ? "" : " ") + key.key + "=";
    if (!key.values.empty()) key_values += cat("    ", key.key, ") echo ", join(key.values, " "), " ;;\n");
  }
  return cat(
      "# bash completion for lorikeet, written by 'lorikeet completion bash'\n\n"
      "_lorikeet_commands() {\n  case \"$1\" in\n",
      commands,
      "  esac\n}\n\n"
      "_lorikeet_options() {\n  case \"$1\" in\n",
      options,
      "  esac\n}\n\n"
      "_lorikeet_values() {\n  case \"$1\" in\n",
      values,
      "  esac\n}\n\n"
      "_lorikeet_key_values() {\n  case \"$1\" in\n",
      key_values,
      "  esac\n}\n\n"
      "_lorikeet_keys='",
      keys, "'\n",
      R"bash(
_lorikeet() {
  local line=${COMP_LINE:0:COMP_POINT} words path='lorikeet' word i current previous offered
  read -ra words <<< "$line"
  current=''
  [[ $line == *[[:space:]] ]] || { current=${words[-1]}; unset 'words[-1]'; }
  previous=${words[-1]}
  for word in "${words[@]:1}"; do
    for i in $(_lorikeet_commands "$path"); do
      [[ $word == "$i" ]] && { path+=" $word"; break; }
    done
  done
  # What bash replaces: the part of the word after its last "=", which is one of COMP_WORDBREAKS.
  local replaced=$current
  [[ $COMP_WORDBREAKS == *=* ]] && replaced=${current##*=}
  COMPREPLY=()
  offered=$(_lorikeet_values "$path $previous")
  if [[ $current == --*=* ]]; then
    offered=$(_lorikeet_values "$path ${current%%=*}")
  elif [[ $current != -* && $current == *=* && $path == 'lorikeet '@(train|compare|search) ]]; then
    offered=$(_lorikeet_key_values "${current%%=*}")
    [[ -n $offered ]] || offered='@files'
  elif [[ -z $offered && $current == -* ]]; then
    offered=$(_lorikeet_options "$path")
  elif [[ -z $offered ]]; then
    offered=$(_lorikeet_commands "$path")
    if [[ -z $offered ]]; then
      offered='@files'
      if [[ $path == 'lorikeet '@(train|compare|search) && -n $current ]]; then
        COMPREPLY=($(compgen -W "$_lorikeet_keys" -- "$current"))
        [[ ${#COMPREPLY[@]} -eq 0 ]] || compopt -o nospace 2> /dev/null
      fi
    fi
  fi
  local after=${current##*=}
  [[ $current == *=* ]] || after=$current
  if [[ $offered == '@files' ]]; then
    compopt -o filenames 2> /dev/null
    local IFS=$'\n'
    COMPREPLY+=($(compgen -f -- "$after"))
  else
    COMPREPLY+=($(compgen -W "$offered" -- "$after"))
  fi
  # Where "=" does not separate words, the reply is the whole word.
  if [[ $replaced == *=* ]]; then COMPREPLY=("${COMPREPLY[@]/#/${current%=*}=}"); fi
}
complete -F _lorikeet lorikeet
)bash");
}

std::string zsh_completion(const CommandText& root) {
  std::string functions;
  each_command(root, [&](const CommandText& command) {
    std::string arguments;
    for (const auto& option : command.options) {
      std::string value;
      if (!option.value.empty()) {
        value = cat(":", lowercase(option.value), ":",
                    option.choices.empty() ? "_files" : cat("(", join(option.choices, " "), ")"));
      }
      for (const auto& name : option.names)
        arguments += cat("    ", quoted(cat(name, "[", zsh_description(option.description), "]", value)), " \\\n");
    }
    const std::string name = "_" + join(command.path, "_");
    functions += name + "() {\n";
    if (command.commands.empty()) {
      const char* rest = command.takes_recipe_keys ? "'*: :_lorikeet_recipe_words'" : "'*: :_files'";
      functions += cat("  _arguments \\\n", arguments, "    ", rest, "\n");
    } else {
      std::string items, cases;
      for (const auto& child : command.commands) {
        items += cat("    ", zsh_item(child.path.back(), child.description), "\n");
        cases += cat("    ", child.path.back(), ") _", join(child.path, "_"), " ;;\n");
      }
      functions +=
          cat("  local context state line\n  local -a commands=(\n", items, "  )\n  _arguments -C \\\n", arguments,
              "    '1: :->command' '*:: :->rest'\n"
              "  case $state in\n  command) _describe command commands ;;\n  rest)\n    case $line[1] in\n",
              cases, "    esac ;;\n  esac\n");
    }
    functions += "}\n\n";
  });
  std::string keys, cases;
  for (const auto& key : completed_keys()) {
    keys += cat("    ", zsh_item(key.key, key.meaning), "\n");
    if (!key.values.empty()) cases += cat("      ", key.key, ") compadd -- ", join(key.values, " "), " ;;\n");
  }
  return cat(
      "#compdef lorikeet\n# zsh completion for lorikeet, written by 'lorikeet completion zsh'\n\n", functions,
      "_lorikeet_recipe_words() {\n  local -a keys=(\n", keys,
      "  )\n  if compset -P '*='; then\n    case ${IPREFIX%=} in\n", cases,
      "      *) _files ;;\n    esac\n  else\n    _files\n    _describe -t keys 'recipe key' keys -S =\n  fi\n}\n\n"
      "if [ \"$funcstack[1]\" = _lorikeet ]; then _lorikeet \"$@\"; else compdef _lorikeet lorikeet; fi\n");
}

std::string fish_completion(const CommandText& root) {
  std::string out = "# fish completion for lorikeet, written by 'lorikeet completion fish'\n";
  each_command(root, [&](const CommandText& command) {
    // Whether the command line has this path, and none of its commands yet.
    std::string condition;
    for (std::size_t i = 1; i < command.path.size(); ++i)
      condition += cat(condition.empty() ? "" : "; and ", "__fish_seen_subcommand_from ", command.path[i]);
    const auto children = names_of(command.commands);
    const std::string here = condition.empty() ? "__fish_use_subcommand"
                             : children.empty()
                                 ? condition
                                 : cat(condition, "; and not __fish_seen_subcommand_from ", join(children, " "));
    for (const auto& child : command.commands)
      out += cat("complete -c lorikeet -f -n ", quoted(here), " -a ", child.path.back(), " -d ",
                 quoted(brief(child.description)), "\n");
    for (const auto& option : command.options) {
      out += cat("complete -c lorikeet -n ", quoted(here));
      for (const auto& name : option.names)
        out += name.starts_with("--") ? cat(" -l ", name.substr(2)) : cat(" -s ", name.substr(1));
      if (!option.value.empty()) {
        out += option.choices.empty() ? " -r" : cat(" -x -a ", quoted(join(option.choices, " ")));
      }
      out += cat(" -d ", quoted(brief(option.description)), "\n");
    }
    if (!command.takes_recipe_keys) return;
    for (const auto& key : completed_keys()) {
      std::vector<std::string> words{key.key + "="};
      for (const auto& value : key.values) words.push_back(cat(key.key, "=", value));
      out += cat("complete -c lorikeet -n ", quoted(here), " -a ", quoted(join(words, " ")), " -d ",
                 quoted(brief(key.meaning)), "\n");
    }
  });
  return out;
}

void add_completion(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("completion", "Print the completion script of a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "bash: source <(lorikeet completion bash), in ~/.bashrc.\n"
      "zsh: lorikeet completion zsh > FOLDER/_lorikeet, with FOLDER in fpath before compinit.\n"
      "fish: lorikeet completion fish > ~/.config/fish/completions/lorikeet.fish\n"
      "An installed package has them in place.");
  command->callback([&app, shell, &status] {
    const CommandText root = command_tree(app);
    const std::string script = *shell == "bash"  ? bash_completion(root)
                               : *shell == "zsh" ? zsh_completion(root)
                                                 : fish_completion(root);
    std::fputs(script.c_str(), stdout);
    status = 0;
  });
}

}  // namespace lorikeet::cli
