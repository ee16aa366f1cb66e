#include "report/table.h"

#include <doctest/doctest.h>

using namespace lorikeet;

TEST_CASE("a table is Markdown whose columns line up") {
  Table table({{"run"}, {"accuracy", true}});
  CHECK(table.empty());
  table.add({"a longer name", "0.9"});
  table.add({"b", "0.12345678901"});
  CHECK_FALSE(table.empty());
  CHECK(table.markdown() ==
        "| run           |      accuracy |\n"
        "|---------------|--------------:|\n"
        "| a longer name |           0.9 |\n"
        "| b             | 0.12345678901 |\n");
}

TEST_CASE("a table without rows is its titles, and no column is too narrow for the rule") {
  CHECK(Table({{"a"}, {"b", true}}).markdown() ==
        "| a   |   b |\n"
        "|-----|----:|\n");
}

TEST_CASE("width counts characters, not bytes") {
  Table table({{"Größe"}, {"n", true}});
  table.add({"28×28", "½"});
  CHECK(table.markdown() ==
        "| Größe |   n |\n"
        "|-------|----:|\n"
        "| 28×28 |   ½ |\n");
}

TEST_CASE("what would break a row is escaped") {
  Table table({{"class"}, {"n|m"}});
  table.add({"a|b", "two\nlines"});
  CHECK(table.markdown() ==
        "| class | n\\|m      |\n"
        "|-------|-----------|\n"
        "| a\\|b  | two lines |\n");
}
