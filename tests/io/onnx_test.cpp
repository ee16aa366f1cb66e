#include "io/onnx.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "base/file.h"
#include "pytorch_samples.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

// The model below as Python's onnx 1.23 serialises it: every kind of attribute, a left-out input, a free size, a
// scalar.
constexpr std::string_view kSample =
    "08081201701a03302e313a80020a580a06696d616765730a01771204636f6e761a04636f6e762204436f6e762a100a07737472696465734002"
    "4001"
    "a001072a190a086175746f5f706164220a53414d455f5550504552a001032a0c0a0567726f75701801a001020a360a04636f6e760a000a0177"
    "1203"
    "6f75741a036f75742206526573697a652a170a0d63756269635f636f6566665f6115000000bfa001011201672a170801080208010801100142"
    "0177"
    "4a08000000000000803f2a0f100742016e4a08ffffffffffffffff5a1e0a06696d61676573120f0a0d080212090a0312014e0a0208031a0352"
    "4742"
    "621f0a036f757412180a16080112120a0312014e0a0b08ffffffffffffffffff0142040a00101172070a016b1202c5bc";

OnnxModel sample() {
  OnnxModel model{.name = "g", .producer = "p", .producer_version = "0.1"};
  model.nodes.push_back(
      {"Conv",
       "conv",
       {"images", "w"},
       {{"strides", std::vector<std::int64_t>{2, 1}}, {"auto_pad", "SAME_UPPER"}, {"group", std::int64_t{1}}}});
  model.nodes.push_back({"Resize", "out", {"conv", "", "w"}, {{"cubic_coeff_a", -0.5F}}});
  model.initialisers.add("w", at::arange(2, at::kFloat).reshape({2, 1, 1, 1}).transpose(0, 1));
  model.initialisers.add("n", at::scalar_tensor(-1, at::kLong));
  model.inputs.push_back({"images", at::kByte, {"N", std::int64_t{3}}, "RGB"});
  model.outputs.push_back({"out", at::kFloat, {"N", std::int64_t{-1}}, ""});
  model.metadata = {{"k", "ż"}};
  return model;
}

}  // namespace

TEST_CASE("a model is written byte for byte as Python's onnx writes it") {
  CHECK(onnx_bytes(sample(), "x.onnx") == from_hex(kSample));
  const TemporaryFolder folder;
  write_onnx(folder.path / "x.onnx", sample());
  CHECK(read_file(folder.path / "x.onnx", 1000) == from_hex(kSample));
}

TEST_CASE("what ONNX files cannot hold is refused") {
  OnnxModel model = sample();
  model.initialisers.add("large", at::zeros({1}).expand({std::int64_t{1} << 29}));
  CHECK(refusal([&] { onnx_bytes(model, "x.onnx"); }) == has("x.onnx: got a model of 2.00 GiB"));
  model = sample();
  model.initialisers.add("half", at::zeros({1}, at::kHalf));
  CHECK(refusal([&] { onnx_bytes(model, "x.onnx"); }) == has("type Half"));
  CHECK(refusal([&] { write_onnx("/dev/null/x.onnx", sample()); }) == has("/dev/null"));
}
