#include "cli/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet::cli {
namespace {

constexpr std::size_t kLeastColumns = 20;
constexpr std::size_t kNarrowIndent = 4;
constexpr std::size_t kLeastBar = 4;
constexpr std::size_t kGreatestBar = 32;

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

double share_of(std::int64_t done, std::int64_t total) {
  return total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
}

// A part of the line and its shorter forms.
struct Part {
  std::vector<std::string> forms;
  std::size_t form = 0;
  const std::string& text() const { return forms[form]; }
};

struct EpochColumn {
  std::string title;
  std::size_t width;
  std::string value;
};

std::vector<EpochColumn> epoch_columns(const EpochProgress& e, std::size_t columns) {
  std::vector<EpochColumn> out{
      {"epoch", 9, cat(e.epoch, "/", e.epochs)}, {"loss", 8, fixed(e.loss, 4)}, {"accuracy", 10, fixed(e.accuracy, 4)}};
  if (e.is_validated) {
    out.push_back({"val loss", 10, fixed(e.validation_loss, 4)});
    out.push_back({"val acc", 9, fixed(e.validation_accuracy, 4)});
  }
  const EpochColumn optional[] = {{"time", 9, clock(e.seconds)},
                                  {"img/s", 8, speed_text(e.images_per_second)},
                                  {"data wait", 11, clock(e.data_wait_seconds)}};
  std::size_t width = 3;  // the mark of the best
  for (const auto& column : out) width += column.width;
  for (const auto* title : {"val loss", "loss", "val acc"}) {  // narrow terminals leave out columns, not digits
    const auto found = std::find_if(out.begin(), out.end(), [&](const auto& column) { return column.title == title; });
    if (width <= columns || found == out.end()) continue;
    width -= found->width;
    out.erase(found);
  }
  for (const auto& column : optional) {
    if (width + column.width > columns) break;
    width += column.width;
    out.push_back(column);
  }
  return out;
}

std::string right_aligned(const std::string& text, std::size_t width) {
  const std::size_t length = characters(text);
  return (length < width ? std::string(width - length, ' ') : " ") + text;
}

}  // namespace

std::size_t terminal_columns(int descriptor) {
  winsize size{};
  std::size_t columns = 0;
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) {
    const char* variable = std::getenv("COLUMNS");
    columns = variable != nullptr ? std::strtoul(variable, nullptr, 10) : 0;
  }
  return columns == 0 ? 80 : std::clamp<std::size_t>(columns, kLeastColumns, 1000);
}

std::string wrapped(const std::string& text, std::size_t columns) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line); out += '\n') {
    line.erase(line.find_last_not_of(' ') + 1);
    if (characters(line) <= columns) {
      out += line;
      continue;
    }
    std::size_t begin = line.find_first_not_of(' ');  // of the last column
    for (std::size_t gap = line.find("  ", begin); gap < columns / 2 + kLeastColumns; gap = line.find("  ", begin))
      begin = line.find_first_not_of(' ', gap);
    std::size_t length = characters(line.substr(0, begin));
    const std::string indent(length + kLeastColumns <= columns ? length : kNarrowIndent, ' ');
    out += line.substr(0, begin);
    std::istringstream words(line.substr(begin));
    bool is_first = true;  // of its line
    for (std::string word; words >> word; is_first = false) {
      if (!is_first && length + 1 + characters(word) > columns) {
        out += '\n' + indent;
        length = indent.size();
        is_first = true;
      }
      out += (is_first ? "" : " ") + word;
      length += characters(word) + (is_first ? 0 : 1);
    }
  }
  return out;
}

bool uses_colour() {
  const char* none = std::getenv("NO_COLOR");
  return none == nullptr || *none == '\0';
}

std::string bar(double share, std::size_t width) {
  const auto filled = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < filled ? "█" : "░";
  return out;
}

std::string cut(const std::string& text, std::size_t columns) {
  std::size_t end = 0;
  for (std::size_t count = 0; end < text.size() && count < columns; ++count) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  }
  return text.substr(0, end);
}

std::string speed_text(double images_per_second) { return fixed(images_per_second, images_per_second < 10 ? 1 : 0); }

std::string training_line(const TrainProgress& p, std::size_t columns) {
  const bool trains = p.phase == "train";
  const std::string speed = speed_text(p.images_per_second);
  const bool has_speed = trains && p.images_per_second > 0;
  const std::string left = p.seconds_left > 0 ? clock(p.seconds_left) : "";
  const std::string epoch = cat(p.epoch, "/", p.epochs);
  std::vector<Part> parts{{{trains ? cat("epoch ", epoch) : p.phase, trains ? epoch : cut(p.phase, 4)}},
                          {{cat(p.done, "/", p.total), ""}},
                          {{has_speed ? cat(speed, " img/s") : "", has_speed ? cat(speed, "/s") : "", ""}},
                          // An evaluation has the numbers of the training before it.
                          {{trains ? cat("loss ", fixed(p.loss, 4)) : "", trains ? fixed(p.loss, 3) : ""}},
                          {{trains ? cat("accuracy ", fixed(p.accuracy, 4)) : "",
                            trains ? cat("acc ", fixed(p.accuracy, 4)) : "", trains ? fixed(p.accuracy, 3) : ""}},
                          {{left.empty() ? "" : left + " left", left, ""}}};
  const auto length = [&] {
    std::size_t total = 0;
    for (const Part& part : parts) total += part.text().empty() ? 0 : characters(part.text()) + 2;
    return total;
  };
  // The parts to shorten, in this order.
  for (const std::size_t index : {1, 4, 0, 2, 5, 2, 3, 4, 5}) {
    if (length() + kLeastBar <= columns) break;
    Part& part = parts[index];
    if (part.form + 1 < part.forms.size()) ++part.form;
  }
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].text().empty()) continue;
    out += (i == 0 ? "" : "  ") + parts[i].text();
    if (i == 0 && length() + kLeastBar <= columns)
      out += "  " + bar(share_of(p.done, p.total), std::min(kGreatestBar, columns - length()));
  }
  return cut(out, columns);
}

std::string epoch_header(const EpochProgress& epoch, std::size_t columns) {
  std::string out;
  for (const auto& column : epoch_columns(epoch, columns)) out += right_aligned(column.title, column.width);
  return cut(out, columns);
}

std::string epoch_row(const EpochProgress& epoch, std::size_t columns) {
  std::string out;
  for (const auto& column : epoch_columns(epoch, columns)) out += right_aligned(column.value, column.width);
  return cut(out + (epoch.is_best ? " *" : ""), columns);
}

}  // namespace lorikeet::cli
