#include "io/range_coder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

// A symbol of a test: a modelled bit, bits that are not modelled, or a number of a tree.
struct Symbol {
  int kind;
  std::uint32_t value;
  int count;
};

std::vector<Symbol> random_symbols(std::uint64_t seed, std::size_t count) {
  Random random(seed);
  std::vector<Symbol> out;
  for (std::size_t i = 0; i < count; ++i) {
    const int kind = static_cast<int>(random.below(3));
    const int bits = 1 + static_cast<int>(random.below(16));
    const std::uint64_t likely = random.below(16);
    out.push_back(kind == 0   ? Symbol{0, likely == 0 ? 1U : 0U, 1}
                  : kind == 1 ? Symbol{1, static_cast<std::uint32_t>(random.below(std::uint64_t{1} << bits)), bits}
                              : Symbol{2, static_cast<std::uint32_t>(likely < 12 ? 5 : random.below(32)), 5});
  }
  return out;
}

struct CoderModels {
  BitModel bit;
  BitTree<5> tree;
};

std::string encoded(const std::vector<Symbol>& symbols) {
  CoderModels models;
  RangeEncoder coder;
  for (const Symbol& each : symbols) {
    if (each.kind == 0) coder.bit(models.bit, each.value != 0);
    if (each.kind == 1) coder.bits(each.value, each.count);
    if (each.kind == 2) coder.tree<5>(models.tree, each.value);
  }
  return coder.finish();
}

std::vector<std::uint32_t> decoded(std::string_view bytes, const std::vector<Symbol>& like) {
  CoderModels models;
  RangeDecoder coder(bytes, "x");
  std::vector<std::uint32_t> out;
  for (const Symbol& each : like) {
    out.push_back(each.kind == 0   ? (coder.bit(models.bit) ? 1U : 0U)
                  : each.kind == 1 ? coder.bits(each.count)
                                   : coder.tree<5>(models.tree));
  }
  coder.finish();
  return out;
}

}  // namespace

TEST_CASE("what a range encoder writes, the decoder reads, down to the last byte") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto symbols = random_symbols(seed, seed < 100 ? seed : 10 * seed);
    CAPTURE(seed);
    const std::string bytes = encoded(symbols);
    const auto read = decoded(bytes, symbols);
    for (std::size_t i = 0; i < symbols.size(); ++i) REQUIRE(read[i] == symbols[i].value);
  }
}

TEST_CASE("carries run through any number of bytes 0xff") {
  // The likeliest bit, then the least likely one: the low end climbs to just below a carry, again and again.
  for (const std::size_t length : {1U, 7U, 100U, 5000U}) {
    std::vector<Symbol> symbols;
    for (std::size_t i = 0; i < length; ++i) symbols.push_back({1, 0xffff, 16});
    symbols.push_back({0, 1, 1});
    for (std::size_t i = 0; i < length; ++i) symbols.push_back({1, i % 2 == 0 ? 0xffffU : 0U, 16});
    const auto read = decoded(encoded(symbols), symbols);
    for (std::size_t i = 0; i < symbols.size(); ++i) REQUIRE(read[i] == symbols[i].value);
  }
}

TEST_CASE("the size is near the entropy") {
  constexpr std::size_t kCount = 20'000;
  for (const double share : {0.5, 0.1, 0.01, 0.0}) {
    Random random(1);
    BitModel model;
    RangeEncoder coder;
    for (std::size_t i = 0; i < kCount; ++i) coder.bit(model, random.uniform() < share);
    const double position = coder.position();
    const double entropy = share == 0 ? 0 : -share * std::log2(share) - (1 - share) * std::log2(1 - share);
    const auto bits = static_cast<double>(8 * coder.finish().size());
    CAPTURE(share);
    CHECK(bits < kCount * (entropy * 1.03 + 0.004) + 16);
    CHECK(std::abs(bits - position) < 48);
  }
}

TEST_CASE("data that ends early or goes on is refused") {
  const auto symbols = random_symbols(7, 400);
  const std::string bytes = encoded(symbols);
  // Without its last bytes a number of symbols can still be read, but not all.
  CHECK(refusal([&] { decoded(bytes.substr(0, bytes.size() / 2), symbols); }) == has("too few bytes"));
  CHECK(refusal([&] { decoded("", symbols); }) == has("too few bytes"));
  CHECK(refusal([&] { decoded(bytes + "12345", symbols); }) == has("bytes after the last tensor"));
  for (const char extra : {'\0', '\1', '\xff'}) {
    for (std::size_t count = 1; count < 5; ++count) {
      CAPTURE(static_cast<int>(extra));
      CAPTURE(count);
      CHECK(refusal([&] { decoded(bytes + std::string(count, extra), symbols); }) == has("the last tensor"));
      CHECK(refusal([&] { decoded(std::string(count, extra), {}); }) == has("the last tensor"));
    }
  }
  std::string changed = bytes;
  changed.back() = static_cast<char>(changed.back() + 1);  // still a number of the last interval, or of another symbol
  CHECK_THROWS_AS(decoded(changed, symbols), Error);
  CHECK(encoded({}).empty());
  CHECK(decoded("", {}).empty());
}
