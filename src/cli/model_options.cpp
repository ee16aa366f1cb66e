#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "models/class_labels.h"
#include "models/names.h"

namespace lorikeet::cli {

CLI::Validator at_least(std::int64_t least) {
  return {[least](std::string& text) -> std::string {
            std::int64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, value);
            if (error == std::errc() && stop == end && value >= least) return "";
            return cat("got '", printable(text), "', expected an integer of at least ", least);
          },
          ""};
}

CLI::Validator number_in_range(double least, double most) {
  return {[=](std::string& text) -> std::string {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, value);
            if (error == std::errc() && stop == end && value >= least && value <= most) return "";
            return cat("got '", printable(text), "', expected a number from ", least, " to ", most);
          },
          cat("FLOAT in [", least, " - ", most, "]")};
}

CLI::Option* add_names_option(CLI::App& command, std::string& names, const std::string& what) {
  return command.add_option("--names", names, what)->check(CLI::IsMember(library_names()));
}

void ModelOptions::add_to(CLI::App& command, const std::string& what, bool with_preprocess) {
  command.add_option("model", name, what)->required();
  command.add_option("--weights", weights, "File (.pth or .safetensors) with the base model's weights")
      ->type_name("FILE");
  command
      .add_option(
          "--model", model,
          "Base model, where an adapter or a weights file does not say it: a name, a folder, or ORG/NAME of the "
          "Hub")
      ->type_name("NAME");
  command.add_flag("--force", force, "Accept base weights other than those the adapter was trained on");
  if (!with_preprocess) return;
  command
      .add_option("--classes", classes,
                  "File with the names of the classes, one a line or as JSON; for adapters that PEFT wrote")
      ->type_name("FILE");
  command
      .add_option("--preprocess", preprocess,
                  "eval: the weights' own evaluation preprocessing; normalise: images already have the right size")
      ->check(CLI::IsMember({"eval", "normalise"}))
      ->capture_default_str();
}

LoadOptions ModelOptions::load_options() const {
  return {.model = model,
          .weights = weights,
          .classes = classes.empty() ? std::vector<std::string>() : read_class_file(classes),
          .force = force,
          .download = download_bar(),
          .log = print_note};
}

}  // namespace lorikeet::cli
