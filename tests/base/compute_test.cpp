#include "base/compute.h"

#include <doctest/doctest.h>

using namespace lorikeet;

TEST_CASE("devices and precisions have one name each, which reads back") {
  for (const Precision value : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8, Precision::kAuto})
    CHECK((parse_precision(name_of(value)) == value));
  for (const Device value : {Device::kCpu, Device::kCuda}) CHECK((parse_device(name_of(value)) == value));
  CHECK(name_of(Precision::kBFloat16) == "bfloat16");
  CHECK(name_of(Device::kCuda) == "cuda");
  CHECK(name_of(EngineKind::kPlain) == "plain");
  for (const char* name : {"", "float16", "Float32", "float32 "}) CHECK_FALSE(parse_precision(name));
  CHECK_FALSE(parse_device("cuda:0"));
}
