#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "data/image_folder.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct PredictOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::size_t top = 1;
  std::string logits;
  bool json = false;
  bool jsonl = false;
  bool csv = false;
};

constexpr std::size_t kBatch = 64;

struct ListedImages {
  std::vector<std::string> paths;
  bool is_complete = true;
};

// Folders replaced by the images in them. Reports images of formats that are not read.
ListedImages listed_images(const std::vector<std::string>& named) {
  constexpr std::size_t kMostNamed = 10;
  ListedImages out;
  for (const std::string& name : named) {
    std::error_code ignored;
    if (!fs::is_directory(name, ignored)) {
      out.paths.push_back(name);
      continue;
    }
    const FoundImages found = images_in(name);
    std::vector<std::string> others;
    for (const fs::path& image : found.others) others.push_back(image.lexically_relative(name).string());
    const std::string listed =
        others.empty()
            ? ""
            : cat(counted(others.size(), "image"), " of formats that cannot be read: ", join_first(others, kMostNamed));
    if (found.images.empty()) {
      fail(name, ": got ", others.empty() ? "a folder without images" : listed,
           ", expected JPEG, PNG, WebP, GIF, TIFF or BMP in it.");
    }
    if (!others.empty()) {
      print_error(cat(name, ": got ", listed, ", expected JPEG, PNG, WebP, GIF, TIFF or BMP. Convert them."));
      out.is_complete = false;
    }
    for (const fs::path& image : found.images) out.paths.push_back(image.string());
  }
  return out;
}

// The logits of readable images, and the problems with the others.
struct Answers {
  Logits logits;
  std::vector<std::string> problems;  // one per image; empty if it has a row of logits
};

void append(const Logits& rows, Logits& to) {
  to.columns = rows.columns;
  to.rows += rows.rows;
  to.values.insert(to.values.end(), rows.values.begin(), rows.values.end());
}

Answers answer(Model& model, const std::vector<Image>& images, Preprocess preprocess) {
  Answers out;
  out.logits.columns = static_cast<std::int64_t>(model.classes().size());
  try {
    append(model.logits(images, preprocess), out.logits);
    out.problems.resize(images.size());
    return out;
  } catch (const UsageError&) {
    throw;
  } catch (const Error&) {
    // An image of the batch failed; running them individually shows which.
  }
  for (const Image& image : images) {
    std::string problem;
    try {
      append(model.logits({image}, preprocess), out.logits);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      problem = error.what();
    }
    out.problems.push_back(problem);
  }
  return out;
}

// RFC 4180. On a terminal, which interprets control characters, they are escaped.
std::string csv_field(const std::string& original) {
  static const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  const std::string text = is_terminal ? printable(original, std::string::npos) : original;
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

// Prints results in the chosen form, image by image.
class Printer {
 public:
  explicit Printer(const PredictOptions& options) : options_(options) {
    if (options_.csv) std::printf("image,rank,class,probability,error\n");
  }

  void print(const std::string& image, const std::vector<Prediction>& predictions) {
    Json list = Json::array();
    std::string text;
    int rank = 0;
    for (const auto& prediction : predictions) {
      ++rank;
      if (options_.csv) {
        text += cat(csv_field(to_utf8(image)), ",", rank, ",", csv_field(prediction.label), ",",
                    fixed(prediction.probability, 6), ",\n");
      } else if (is_json()) {
        list.push_back(
            {{"class", prediction.label}, {"index", prediction.index}, {"probability", prediction.probability}});
      } else {
        text += cat(text.empty() ? "  " : ", ", printable(prediction.label), " ", fixed(prediction.probability, 4));
      }
    }
    if (options_.csv) {
      std::printf("%s", text.c_str());
    } else if (is_json()) {
      put({{"image", image}, {"predictions", list}});
    } else {
      std::printf("%s%s\n", printable(image, std::string::npos).c_str(), text.c_str());
    }
  }

  void print_problem(const std::string& image, const std::string& problem) {
    print_error(problem);
    if (options_.csv) std::printf("%s,,,,%s\n", csv_field(to_utf8(image)).c_str(), csv_field(to_utf8(problem)).c_str());
    if (is_json()) put({{"image", image}, {"error", problem}});
  }

  void finish() {
    if (options_.json) std::printf("%s\n", json_text(all_, 2).c_str());
  }

 private:
  bool is_json() const { return options_.json || options_.jsonl; }
  void put(Json object) {
    if (options_.json) {
      all_.push_back(std::move(object));
    } else {
      std::printf("%s\n", json_text(object).c_str());
    }
  }

  const PredictOptions& options_;
  Json all_ = Json::array();
};

void print_answers(const Model& model, const Answers& answers, const std::string* images, std::size_t top,
                   Printer& printer) {
  const auto predictions = model.predictions(answers.logits, top);
  std::size_t row = 0;
  for (std::size_t i = 0; i < answers.problems.size(); ++i) {
    if (answers.problems[i].empty()) {
      printer.print(images[i], predictions[row++]);
    } else {
      printer.print_problem(images[i], answers.problems[i]);
    }
  }
  std::fflush(stdout);
}

int predict_command(const PredictOptions& options) {
  Model model = load(options.model.name, options.model.load_options());
  const ListedImages listed = listed_images(options.images);
  const std::vector<std::string>& images = listed.paths;
  const std::size_t top = std::min(options.top, model.classes().size());
  // The logits are written first: a command that fails prints no results.
  const bool prints_as_it_goes = options.logits.empty();
  const bool shows_progress = images.size() > kBatch && isatty(STDOUT_FILENO) == 0;
  Printer printer(options);
  Answers all;
  all.logits.columns = static_cast<std::int64_t>(model.classes().size());
  bool is_complete = true;
  if (shows_progress) show_progress("predict", 0, static_cast<std::int64_t>(images.size()));
  for (std::size_t begin = 0; begin < images.size(); begin += kBatch) {
    const std::size_t end = std::min(begin + kBatch, images.size());
    const std::vector<Image> batch(images.begin() + static_cast<std::ptrdiff_t>(begin),
                                   images.begin() + static_cast<std::ptrdiff_t>(end));
    const Answers answers = answer(model, batch, options.model.chosen_preprocess());
    is_complete = is_complete && answers.logits.rows == static_cast<std::int64_t>(batch.size());
    if (prints_as_it_goes) {
      print_answers(model, answers, &images[begin], top, printer);
    } else {
      append(answers.logits, all.logits);
      all.problems.insert(all.problems.end(), answers.problems.begin(), answers.problems.end());
    }
    if (shows_progress)
      show_progress("predict", static_cast<std::int64_t>(end), static_cast<std::int64_t>(images.size()));
  }
  if (shows_progress) show_status("");
  if (!prints_as_it_goes) {
    if (is_complete) save_logits(all.logits, options.logits);
    print_answers(model, all, images.data(), top, printer);
  }
  printer.finish();
  if (!options.logits.empty() && !is_complete)
    print_error(options.logits + ": not written, because its rows would not correspond to the images.");
  return is_complete && listed.is_complete ? 0 : kFailed;
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("predict", "Classify images with an adapter or a model");
  auto options = std::make_shared<PredictOptions>();
  options->model.add_to(*command, kAnyModel, true);
  command->add_option("images", options->images, "Image files (JPEG, PNG, WebP, GIF, TIFF, BMP), or folders of them")
      ->required();
  command->add_option("--top", options->top, "Number of classes per image")->check(at_least(1))->capture_default_str();
  command
      ->add_option("--logits", options->logits,
                   "Also write the logits: one tensor (images, classes) in a safetensors file")
      ->type_name("OUT");
  auto* json = command->add_flag("--json", options->json, "Print one JSON array on standard output");
  auto* jsonl = command->add_flag("--jsonl", options->jsonl, "Print one JSON object a line, batch by batch");
  auto* csv =
      command->add_flag("--csv", options->csv, "Print CSV, batch by batch: image, rank, class, probability, error");
  json->excludes(jsonl)->excludes(csv);
  jsonl->excludes(csv);
  command->footer(
      "Probabilities are the softmax of the logits. Unreadable images are reported on standard error, with exit code "
      "1; the JSON has \"error\" for them instead of \"predictions\". In that case --logits writes nothing.\n"
      "CSV in a file or pipe has the names of files and classes as they are, in quotes where RFC 4180 requires "
      "it; on a\nterminal, control characters are escaped.");
  command->callback([options, &status] { status = predict_command(*options); });
}

}  // namespace lorikeet::cli
