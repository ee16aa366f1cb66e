#include "base/regex.h"

#include <doctest/doctest.h>

#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

Regex regex(const std::string& pattern) { return Regex(pattern, "field"); }

}  // namespace

TEST_CASE("fullmatch, match and search mean what Python's re means by them") {
  CHECK(regex(R"(.*\.2\.conv3)").full_match("layer1.2.conv3"));
  CHECK_FALSE(regex(R"(.*\.2\.conv)").full_match("layer1.2.conv3"));
  CHECK(regex("a|ab").full_match("ab"));  // the shorter alternative is given up for the whole
  CHECK(regex("a*?").full_match("aaa"));
  CHECK_FALSE(regex("b").full_match("ab"));

  CHECK(regex("lay").match("layer1"));
  CHECK_FALSE(regex("ayer").match("layer1"));
  CHECK(regex("ayer").search("layer1"));
  CHECK_FALSE(regex("conv").search("layer1"));

  CHECK_FALSE(regex("A").full_match("a"));
  CHECK_FALSE(regex("a.b").full_match("a\nb"));
  CHECK(regex("").full_match(""));
  CHECK(regex("a.b").full_match(std::string("a\0b", 3)));  // a text may hold any byte
}

TEST_CASE("the named group idx is given where it took part") {
  const Regex index = regex(R"(.*?\.(?P<idx>\d+)\.|none)");
  CHECK(index.match_index("layer1.12.conv3.0.x") == "12");
  CHECK(index.match_index("none") == std::nullopt);
  CHECK(index.match_index("layer1") == std::nullopt);
  CHECK(regex("layer").match_index("layer1") == std::nullopt);  // there is no such group
}

TEST_CASE("what is not a regular expression is rejected, naming the field") {
  for (const char* pattern : {"(", "*", "a{2,1}", "[a", "(?P<x", "\\"}) {
    CAPTURE(pattern);
    CHECK_THROWS_WITH_AS(regex(pattern), doctest::Contains("field: got '"), UsageError);
  }
  CHECK_THROWS_WITH_AS(regex("ab("), doctest::Contains("character 3"), UsageError);
  CHECK_THROWS_WITH_AS(regex(std::string(5000, 'a')), doctest::Contains("5000 bytes"), UsageError);
  CHECK_THROWS_AS(regex(std::string(2000, '(') + std::string(2000, ')')), UsageError);
}

TEST_CASE("a pattern from outside neither runs for ever nor exhausts memory") {
  CHECK_THROWS_WITH_AS(regex("(a|aa)+$").full_match(std::string(60, 'a') + "b"), doctest::Contains("simpler"), Error);
  CHECK_THROWS_AS(regex("(a|b)*").full_match(std::string(1 << 20, 'a')), Error);
  CHECK_THROWS_AS(regex("(?R)?a").search(std::string(1 << 20, 'b') + "a"), Error);
}
