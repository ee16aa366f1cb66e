#include "engine/mixed_batch.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

AdapterSpec with(AdapterSpec spec, void (*set)(AdapterSpec&)) {
  set(spec);
  return spec;
}

// Methods that PEFT refuses in one batch, heads of different sizes, other modules_to_save, and the base itself.
std::vector<AdapterSpec> mixed_specs() {
  return {spec_for(R"(layer1\.2\.conv3)"),
          with(spec_for(R"(layer1\.1\.conv2|fc)"), [](AdapterSpec& s) { s.config.use_dora = true; }),
          with(spec_for(R"(layer1\.2\.bn3)"), [](AdapterSpec& s) { s.config.peft_type = PeftType::kLnTuning; }),
          with(spec_for("", {"fc"}), [](AdapterSpec& s) { s.output_classes = 9; }),
          with(spec_for(R"(layer1\.0\.conv1)"),
               [](AdapterSpec& s) {
                 s.head = Head{{7}, 3};
               }),
          with(spec_for(""),
               [](AdapterSpec& s) {
                 s.head = Head{{}, 2};
               }),
          spec_for("")};
}

}  // namespace

TEST_CASE("every row of a mixed batch is what its own adapter makes of it") {
  std::vector<Network> networks;
  std::uint64_t seed = 1;
  for (const auto& spec : mixed_specs()) networks.push_back(trained_network(spec, seed++));
  // Any two, and all together.
  std::vector<std::vector<std::size_t>> sets{{0, 1, 2, 3, 4, 5, 6}};
  for (std::size_t a = 0; a < networks.size(); ++a) {
    for (std::size_t b = 0; b < networks.size(); ++b) sets.push_back({a, b});
  }
  const at::Tensor images = at::cat({some_images(1), some_images(2)});
  for (const auto& set : sets) {
    std::vector<const Network*> chosen;
    for (const std::size_t i : set) chosen.push_back(&networks[i]);
    MixedBatch mixed(chosen, at::kFloat);
    std::vector<std::size_t> which;
    for (std::int64_t row = 0; row < images.size(0); ++row)
      which.push_back(static_cast<std::size_t>(row * 5 + 1) % set.size());
    const std::vector<at::Tensor> rows = mixed.predict(images, which);
    REQUIRE(rows.size() == which.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      CAPTURE(row);
      const at::Tensor alone = evaluate(*chosen[which[row]], images.narrow(0, static_cast<std::int64_t>(row), 1))[0];
      CHECK(rows[row].sizes() == alone.sizes());
      CHECK(relative(rows[row], alone) < 1e-5);
    }
  }
}

TEST_CASE("the prefix that is shared is what is frozen in all of them") {
  const Network early = trained_network(spec_for(R"(layer1\.0\.conv2)"));
  const Network late = trained_network(spec_for("", {"fc"}));
  const Plan alone = make_plan(early);
  const auto plans = plans_with_common_prefix({&early, &late});
  CHECK(plans[0].frontier == alone.frontier);
  CHECK(plans[1].frontier == alone.frontier);
  CHECK((plans[1].segment[*late.graph().find("layer1.1.conv1")] == Segment::kFrozenAfterCut));
  CHECK((plans[1].segment[*late.graph().find("conv1")] == Segment::kFrozenPrefix));
}
