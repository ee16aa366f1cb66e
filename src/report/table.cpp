#include "report/table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/text.h"

namespace lorikeet {
namespace {

// In characters, not bytes: the texts are UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Escapes characters that would end a cell or a row.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (auto& column : columns_) column.title = escaped(column.title);
}

void Table::add(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  for (auto& cell : cells) cell = escaped(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::markdown() const {
  std::string titles, rule, body;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = std::max<std::size_t>(3, width(columns_[i].title));
    for (const auto& row : rows_) widest = std::max(widest, width(row[i]));
    widths.push_back(widest);
  }
  const auto cell = [&](std::size_t i, const std::string& text) {
    const std::string padding(widths[i] - width(text), ' ');
    return "| " + (columns_[i].right ? padding + text : text + padding) + " ";
  };
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    titles += cell(i, columns_[i].title);
    rule += "|" + std::string(widths[i] + 1, '-') + (columns_[i].right ? ":" : "-");
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) body += cell(i, row[i]);
    body += "|\n";
  }
  return titles + "|\n" + rule + "|\n" + body;
}

std::string share_text(double share) {
  const double value = 100 * share;
  int decimals = 2;
  for (double least = 0.1; value > 0 && value < least && decimals < 9; least /= 10) ++decimals;
  return fixed(value, decimals) + " %";
}

}  // namespace lorikeet
