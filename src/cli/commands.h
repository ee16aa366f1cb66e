// The commands. Each adds itself, its options and its action to the application. `status` receives the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "lorikeet/model.h"

namespace lorikeet::cli {

void add_train(CLI::App& app, int& status);
void add_search(CLI::App& app, int& status);
void add_compare(CLI::App& app, int& status);
void add_eval(CLI::App& app, int& status);
void add_predict(CLI::App& app, int& status);
void add_merge(CLI::App& app, int& status);
void add_export(CLI::App& app, int& status);
void add_inspect(CLI::App& app, int& status);
void add_combine(CLI::App& app, int& status);
void add_convert(CLI::App& app, int& status);
void add_compress(CLI::App& app, int& status);
void add_extract(CLI::App& app, int& status);
void add_models(CLI::App& app, int& status);
void add_data(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_completion(CLI::App& app, int& status);
void add_man(CLI::App& app, int& status);
void add_schema(CLI::App& app, int& status);

constexpr int kFailed = 1;
constexpr int kUsage = 2;

/// Accepts integers from `least`. CLI11's own checks print the upper bound 1.8e308 in full.
CLI::Validator at_least(std::int64_t least);

/// Accepts finite numbers in a range. CLI11's own check lets nan pass.
CLI::Validator number_in_range(double least, double most);

/// Adds --names, which chooses the library whose module names an output has.
CLI::Option* add_names_option(CLI::App& command, std::string& names, const std::string& what);

/// The ways to name a model, for --help.
inline constexpr const char* kAnyModel =
    "Folder of an adapter or a run, an adapter's file, a model's name or folder (as saved by transformers or timm), "
    "ORG/NAME of the Hub, or a weights file";

/// The ways to name an adapter, likewise.
inline constexpr const char* kAnyAdapter = "Folder of an adapter or a run, or an adapter's file (NAME.lorikeet)";

/// Options of all commands that use a model.
struct ModelOptions {
  std::string name;
  std::string model;
  std::string weights;
  std::string classes;
  std::string preprocess = "eval";
  bool force = false;

  /// Adds the positional argument `name` and the options; `with_preprocess` adds those for images.
  void add_to(CLI::App& command, const std::string& what, bool with_preprocess);
  LoadOptions load_options() const;
  Preprocess chosen_preprocess() const {
    return preprocess == "normalise" ? Preprocess::kNormalise : Preprocess::kEval;
  }
};

}  // namespace lorikeet::cli
