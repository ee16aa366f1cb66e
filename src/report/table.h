// Tables for people: Markdown, with columns padded so that they read well in a terminal too.
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

  /// REQUIRES: as many cells as columns.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// With a line break at the end.
  std::string markdown() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lorikeet
