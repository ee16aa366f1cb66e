// Markdown tables, with columns padded to be readable in a terminal.
#pragma once

#include <string>
#include <vector>

namespace lorikeet {

class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  // numbers
  };
  explicit Table(std::vector<Column> columns);

  /// REQUIRES: one cell per column.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Ends with a line break.
  std::string markdown() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// A share in percent, "1.25 %", with at least two digits that are not leading zeros: "0.0021 %".
std::string share_text(double share);

}  // namespace lorikeet
