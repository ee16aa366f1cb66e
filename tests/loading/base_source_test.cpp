#include "loading/base_source.h"

#include <doctest/doctest.h>

#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("sizes whose product is that of no network are refused") {
  const TemporaryFolder folder;
  const auto opened = [&](const std::string& sizes) {
    put(folder.path / "config.json",
        R"({"model_type": "vit", "num_attention_heads": 4, "num_labels": 3, )" + sizes + "}");
    return find_base(folder.path.string(), {}, /*with_weights=*/false);
  };
  CHECK(opened(R"("hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2)").graph.nodes().size() > 10);
  CHECK(refusal([&] { opened(R"("hidden_size": 65536, "intermediate_size": 65536, "num_hidden_layers": 100)"); }) ==
        has("config.json: got sizes of a network of 2.5"));
}
