#include "engine/prefix_cache.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include "engine/small_networks.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

at::Tensor indices(std::vector<std::int64_t> values) { return at::tensor(values, at::kLong); }

// The frontier of images 0 … 5: a picture in channels-last memory, one in the usual, and features.
Frontier all_rows(at::ScalarType type = at::kFloat) {
  at::Generator generator = seeded(1);
  const at::Tensor picture = at::empty({6, 3, 4, 5}).normal_(0, 1, generator).to(type);
  const at::Tensor features = at::empty({6, 7}).normal_(0, 1, generator).to(type);
  return {picture.contiguous(at::MemoryFormat::ChannelsLast), picture.clone(), features};
}

Frontier rows(const Frontier& all, const at::Tensor& at_indices) {
  Frontier out;
  for (const at::Tensor& tensor : all) {
    const auto format = tensor.suggest_memory_format();
    out.push_back(tensor.index_select(0, at_indices).contiguous(format));
  }
  return out;
}

}  // namespace

TEST_CASE("rows come back as they were stored, in any order, type and memory layout") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Frontier all = all_rows(type);
    PrefixCache cache(6);
    for (const auto& part : {indices({4, 1}), indices({5, 0, 2}), indices({3})}) {
      CHECK_FALSE(cache.complete());
      cache.store(part, at::mul(part, 10), rows(all, part));
    }
    CHECK(cache.complete());
    CHECK(at::equal(cache.labels(), indices({0, 10, 20, 30, 40, 50})));
    for (const auto& wanted : {indices({0, 1, 2, 3, 4, 5}), indices({3, 5, 0}), indices({2, 2})}) {
      const Frontier loaded = cache.load(wanted);
      const Frontier expected = rows(all, wanted);
      REQUIRE(loaded.size() == expected.size());
      for (std::size_t i = 0; i < loaded.size(); ++i) {
        CAPTURE(i);
        CHECK((loaded[i].scalar_type() == type));
        CHECK(at::equal(loaded[i], expected[i]));
        CHECK(loaded[i].strides() == expected[i].strides());
      }
    }
  }
}

TEST_CASE("a cache is complete when every image has been stored, however often some were") {
  const Frontier all = all_rows();
  PrefixCache cache(3);
  for (int i = 0; i < 4; ++i) cache.store(indices({0, 2}), indices({1, 1}), rows(all, indices({0, 2})));
  CHECK_FALSE(cache.complete());
  cache.store(indices({1}), indices({1}), rows(all, indices({1})));
  CHECK(cache.complete());
}

TEST_CASE("a cache in a file gives what one in memory gives, and leaves no file") {
  const TemporaryFolder folder;
  Frontier all{at::arange(24, at::kFloat).reshape({4, 6}),
               at::arange(48, at::kFloat).reshape({4, 2, 2, 3}).to(at::kBFloat16)};
  PrefixCache memory(4);
  PrefixCache file(4, folder.path);
  for (PrefixCache* cache : {&memory, &file}) cache->store(indices({0, 1, 2, 3}), indices({3, 2, 1, 0}), all);
  CHECK(std::filesystem::is_empty(folder.path));
  for (std::size_t i = 0; i < all.size(); ++i)
    CHECK(at::equal(file.load(indices({3, 1}))[i], memory.load(indices({3, 1}))[i]));
  CHECK_THROWS_AS(PrefixCache(1, folder.path / "missing").store(indices({0}), indices({0}), {at::ones({1, 3})}), Error);
}

TEST_CASE("a cache keeps copies") {
  Frontier all{at::ones({2, 3})};
  PrefixCache cache(2);
  cache.store(indices({0, 1}), indices({0, 0}), all);
  all[0].fill_(7);
  CHECK(at::equal(cache.load(indices({1, 0}))[0], at::ones({2, 3})));
}

TEST_CASE("steps on the cache are the steps on the images, to the last bit") {
  const Network network = trained_network(full_spec());
  for (const auto& [kind, precision] :
       {std::pair(EngineKind::kPlain, at::kFloat), std::pair(EngineKind::kPlain, at::kBFloat16),
        std::pair(EngineKind::kFused, at::kFloat), std::pair(EngineKind::kFused, at::kBFloat16)}) {
    const auto executor = make_executor(kind, network, {precision});
    PrefixCache cache(4);
    const Frontier frontier = executor->run_prefix(some_images());
    cache.store(indices({0, 1, 2, 3}), indices({0, 0, 0, 0}), frontier);
    CHECK(at::equal(executor->run_suffix(cache.load(indices({0, 1, 2, 3})), false),
                    executor->run_suffix(frontier, false)));
  }
}

TEST_CASE("caches that share a file have what any of them stores") {
  const TemporaryFolder folder;
  const PrefixCache::Shared file{folder.path / "rows"};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Frontier all = all_rows(type);
    std::filesystem::remove(file.file);
    std::filesystem::remove(file.file.string() + ".json");
    PrefixCache first(6, file), second(6, file);
    CHECK_FALSE(second.has(indices({1})));
    first.store(indices({4, 1}), indices({40, 10}), rows(all, indices({4, 1})));
    CHECK(second.has(indices({1, 4})));
    CHECK_FALSE(second.has(indices({1, 2})));
    second.store(indices({5, 0, 2}), indices({50, 0, 20}), rows(all, indices({5, 0, 2})));
    PrefixCache third(6, file);
    CHECK_FALSE(third.complete());
    third.store(indices({3}), indices({30}), rows(all, indices({3})));
    CHECK(first.complete());
    CHECK(at::equal(first.labels(), indices({0, 10, 20, 30, 40, 50})));
    const Frontier loaded = first.load(indices({3, 5, 0})), expected = rows(all, indices({3, 5, 0}));
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      CHECK(at::equal(loaded[i], expected[i]));
      CHECK(loaded[i].strides() == expected[i].strides());
    }
  }
  PrefixCache other(7, file);  // of other images
  CHECK_FALSE(other.has(indices({1})));
  other.store(indices({1}), indices({1}), rows(all_rows(), indices({1})));
  CHECK_FALSE(other.has(indices({1})));
  PrefixCache nowhere(6, PrefixCache::Shared{folder.path / "missing/rows"});
  nowhere.store(indices({1}), indices({1}), rows(all_rows(), indices({1})));
  CHECK_FALSE(nowhere.has(indices({1})));
}
