#include "models/transformers_config.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

std::int64_t parameters_of_config(const char* text) {
  std::int64_t out = 0;
  for (const auto& parameter : transformers_model(parse_json(text, "test")).build().parameters())
    out += parameter.buffer ? 0 : parameter.count();
  return out;
}

std::string wrong_config(const char* text) {
  return refusal([&] { transformers_model(parse_json(text, "test")); });
}

}  // namespace

TEST_CASE("a config.json that says nothing has the sizes of transformers' defaults") {
  // Counted with transformers 5; two classes.
  CHECK(parameters_of_config(R"({"model_type": "resnet"})") == 23'512'130);
  CHECK(parameters_of_config(R"({"model_type": "mobilenet_v2"})") == 2'226'434);
  CHECK(parameters_of_config(R"({"model_type": "mobilevit"})") == 4'938'914);
  // The background is a class.
  CHECK(parameters_of_config(R"({"model_type": "mobilenet_v2", "num_labels": 1001, "id2label": null})") == 3'506'153);
}

TEST_CASE("values of a config.json that no network has are refused, each by its key") {
  CHECK(wrong_config(R"({"model_type": "resnet", "depths": [1, 1]})") ==
        "hidden_sizes: got 4 values, expected one for each of the 2 in depths.");
  CHECK(wrong_config(R"({"model_type": "resnet", "hidden_sizes": [3, 8, 8, 8]})") == has("hidden_sizes: got"));
  CHECK(wrong_config(R"({"model_type": "resnet", "hidden_act": "mish"})") ==
        has("hidden_act: got 'mish', expected one of gelu, "));
  CHECK(wrong_config(R"({"model_type": "resnet", "layer_type": "wide"})") ==
        "layer_type: got 'wide', expected 'basic'.");
  CHECK(wrong_config(R"({"model_type": "mobilenet_v2", "depth_multiplier": 1e5})") ==
        "depth_multiplier: got 100000.0, expected a number above 0 and below 100.");
  CHECK(wrong_config(R"({"model_type": "mobilenet_v2", "num_channels": 1})") == "num_channels: got 1, expected 3.");
  CHECK(wrong_config(R"({"model_type": "mobilevit", "hidden_sizes": [8, 8]})") ==
        "hidden_sizes: got 2 values, expected 3.");
  CHECK(wrong_config(R"({"model_type": "mobilevit", "num_attention_heads": 5})") ==
        "hidden_sizes: got 144, expected a multiple of num_attention_heads, 5.");
  CHECK(wrong_config(R"({"model_type": "mobilevit", "mlp_ratio": 0.001})") == has("mlp_ratio: got 0.001"));
  CHECK(wrong_config(R"({"model_type": "mobilevit", "conv_kernel_size": 4})") ==
        "conv_kernel_size: got 4, expected an odd number.");
  CHECK(wrong_config(R"({"model_type": "mobilevit", "patch_size": 4096})") == has("patch_size: got 4096, expected "));
  CHECK(wrong_config(R"({"model_type": "vgg"})") == has("model_type: got 'vgg', expected one of convnext, "));
}
