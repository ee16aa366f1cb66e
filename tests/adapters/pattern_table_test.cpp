#include "adapters/pattern_table.h"

#include <ATen/Functions.h>  // before doctest: c10 has a CHECK of its own
#include <doctest/doctest.h>

#include "lorikeet/error.h"

using namespace lorikeet;

TEST_CASE("an exact pattern matches its name alone") {
  CHECK(exact_pattern("layer1.0.conv1") == R"(^layer1\.0\.conv1)");
  const CompiledPatterns patterns({{exact_pattern("conv1"), 1}, {exact_pattern("0.conv1"), 2}, {"conv1", 3}}, "x");
  CHECK(patterns.value("conv1", 0) == 1);
  CHECK(patterns.value("0.conv1", 0) == 2);
  CHECK(patterns.value("layer1.0.conv1", 0) == 3);
  CHECK(patterns.value("layer1.00conv1", 0) == 0);  // the dot is a dot
  CHECK(patterns.first_match("1.conv1") == 2);
  CHECK_FALSE(patterns.first_match("conv2"));
  CHECK_THROWS_WITH_AS(CompiledPatterns({{"(", 1}}, "rank_pattern"), doctest::Contains("rank_pattern: got"),
                       UsageError);
}

TEST_CASE("a pattern of n_frequency_pattern matches after a dot, or is the name") {
  const PatternTable table{{"conv[12]", 1}, {"fc", 2}, {"layer1|x", 3}};
  const CompiledPatterns patterns(table, "x", PatternRule::kFrequency);
  CHECK(patterns.value("layer1.conv1", 0) == 1);
  CHECK(patterns.value("conv1", 0) == 0);
  CHECK(patterns.value("fc", 0) == 2);
  CHECK(patterns.value("head.fc", 0) == 2);
  CHECK(patterns.value("x", 0) == 3);  // PEFT does not group: ".*\\.layer1" or "x"
  // A name is taken only where no pattern matches an end.
  CHECK(CompiledPatterns({{"head.fc", 1}, {"fc", 2}}, "x", PatternRule::kFrequency).value("head.fc", 0) == 2);
}

TEST_CASE("n_frequency_pattern is written by names where it depends on its order") {
  AdapterConfig config;
  PatternTable& table = config.fourierft.n_frequency_pattern;
  table = {{"0.conv1", 2}, {R"(.*conv1)", 4}};  // sorted, the other is the first
  make_order_free(config, {"layer1.0.conv1", "layer1.1.conv1", "fc"});
  CHECK((table == PatternTable{{"layer1.0.conv1", 2}, {"layer1.1.conv1", 4}}));
  table = {{"head.*c", 2}, {"fc", 4}};  // "fc" also matches the end of the other and is the first when sorted
  CHECK_THROWS_WITH_AS(make_order_free(config, {"fc", "x.head.fc"}), doctest::Contains("n_frequency_pattern: got"),
                       Error);
}

TEST_CASE("tables that depend on their order are written without") {
  const std::vector<std::string> targets{"conv1", "layer1.0.conv1", "layer1.1.conv1", "fc"};
  AdapterConfig config;
  config.rank_pattern = {{R"(layer1\.0\.conv1)", 2}, {"conv1", 4}};  // sorted, "conv1" is the first
  config.alpha_pattern = {{"fc", 3}, {"conv1", 5}};                  // in every order the same
  make_order_free(config, targets);
  CHECK((config.rank_pattern == PatternTable{{"^conv1", 4}, {R"(^layer1\.0\.conv1)", 2}, {R"(^layer1\.1\.conv1)", 4}}));
  CHECK((config.alpha_pattern == PatternTable{{"fc", 3}, {"conv1", 5}}));
  const AdapterConfig before = config;
  make_order_free(config, targets);
  CHECK(config.rank_pattern == before.rank_pattern);
  for (const auto& name : targets) {
    const PatternTable reversed(config.rank_pattern.rbegin(), config.rank_pattern.rend());
    CHECK(CompiledPatterns(reversed, "x").value(name, 8) == CompiledPatterns(config.rank_pattern, "x").value(name, 8));
  }
}
