#include <doctest/doctest.h>

#include "models/models.h"

using namespace lorikeet;

namespace {

std::string timm_name(const std::string& name) { return find_model("efficientnet_lite0").translate_name(name); }

void add(std::vector<std::string>& names, const std::string& module, bool is_norm) {
  names.push_back(module + ".weight");
  if (!is_norm) return;
  for (const char* tensor : {".bias", ".running_mean", ".running_var"}) names.push_back(module + tensor);
}

// The names of EfficientNet-PyTorch's model, in the order of its modules.
std::vector<std::string> package_names() {
  std::vector<std::string> names;
  add(names, "_conv_stem", false);
  add(names, "_bn0", true);
  for (int i = 0; i < 16; ++i) {
    const std::string block = "_blocks." + std::to_string(i) + ".";
    if (i > 0) {  // the first block does not expand
      add(names, block + "_expand_conv", false);
      add(names, block + "_bn0", true);
    }
    add(names, block + "_depthwise_conv", false);
    add(names, block + "_bn1", true);
    add(names, block + "_project_conv", false);
    add(names, block + "_bn2", true);
  }
  add(names, "_conv_head", false);
  add(names, "_bn1", true);
  names.insert(names.end(), {"_fc.weight", "_fc.bias"});
  return names;
}

}  // namespace

TEST_CASE("the package's names translate one to one, in order, to timm's") {
  std::vector<std::string> translated;
  for (const auto& name : package_names()) translated.push_back(timm_name(name));
  std::vector<std::string> expected;
  for (const auto& parameter : find_model("efficientnet_lite0").build().parameters())
    expected.push_back(parameter.name);
  CHECK(translated == expected);
  CHECK(timm_name("_blocks.1._expand_conv.weight") == "blocks.1.0.conv_pw.weight");
  CHECK(timm_name("_blocks.14._project_conv.weight") == "blocks.5.3.conv_pwl.weight");
}

TEST_CASE("names that are not the package's stay as they are") {
  for (const auto& parameter : find_model("efficientnet_lite0").build().parameters()) {
    CHECK(timm_name(parameter.name) == parameter.name);
  }
  for (const char* name : {"", ".", "fc.weight", "_blocks", "_blocks.", "_blocks.16._bn0.weight",
                           "_blocks.x._bn0.weight", "_blocks.-1._bn0.weight", "_blocks.99999999999999._bn0.weight",
                           "_blocks.1._se_reduce.weight", "_blocks.0._expand_conv.weight"}) {
    CHECK(timm_name(name) == name);
  }
}
