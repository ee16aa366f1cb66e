#include "io/named_tensors.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace lorikeet;

TEST_CASE("one element that is not finite is found at any position") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const std::int64_t size :
       {1, 7, 64, 1000, 100'003}) {  // less than a vector, whole vectors and a rest, several threads
    at::Tensor tensor = at::ones({size});
    CHECK(all_finite(tensor));
    CHECK(all_finite(tensor.fill_(std::numeric_limits<float>::max())));
    for (const std::int64_t at : {std::int64_t{0}, size / 3, size / 2, size - 1}) {
      for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
        tensor[at] = bad;
        CHECK(!all_finite(tensor));
        tensor[at] = 1;
      }
    }
  }
  CHECK(all_finite(at::empty({0, 3})));
  CHECK(!all_finite(at::full({2}, 1e300, at::kDouble)));  // infinite in float32
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn}) {
    CHECK(all_finite(at::ones({5}).to(type)));
    CHECK(!all_finite(at::full({5}, std::nanf("")).to(type)));
  }
}

TEST_CASE("what wrappers put before every name goes") {
  const auto names_after = [](const std::vector<std::string>& names) {
    NamedTensors tensors;
    for (const auto& name : names) tensors.add(name, at::ones({1}));
    tensors.remove_wrapper_prefixes();
    std::vector<std::string> out;
    for (const auto& [name, tensor] : tensors) {
      out.push_back(name);
      CHECK(tensors.find(name) == &tensor);
    }
    return out;
  };
  using Names = std::vector<std::string>;
  for (const std::string prefix :
       {"module.", "_orig_mod.", "_orig_mod.module.", "model._orig_mod.", "model.", "net."}) {
    CAPTURE(prefix);
    CHECK(names_after({prefix + "a.weight", prefix + "b"}) == Names{"a.weight", "b"});
  }
  CHECK(names_after({"n_averaged", "module.a", "module.b"}) == Names{"a", "b"});
  CHECK(names_after({"backbone.a", "total_ops", "backbone.total_ops", "total_params"}) == Names{"a", "total_ops"});
  for (const Names& names : {Names{"module.a", "b"}, Names{"a", "total_ops"}, Names{"modules.a", "modules.b"},
                             Names{"n_averaged"}, Names{}, Names{"base_model.model.fc.weight"}}) {
    CHECK(names_after(names) == names);
  }
}
