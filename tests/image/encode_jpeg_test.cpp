#include "image/encode_jpeg.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include "image/decode.h"

using namespace lorikeet;

TEST_CASE("an encoded picture decodes to nearly the same pixels") {
  const at::Tensor ramp = at::arange(24 * 40, at::kFloat).reshape({24, 40}) / 4;
  const at::Tensor image = at::stack({ramp, ramp.flip(1), 255 - ramp}).to(at::kByte);  // no layout of the decoders
  const std::string bytes = encode_jpeg(image, 95);
  CHECK(bytes.size() < 24 * 40 * 3);
  const at::Tensor decoded = decode_image(bytes, "test");
  REQUIRE(decoded.sizes() == image.sizes());
  const double mean = (decoded.to(at::kFloat) - image.to(at::kFloat)).abs().mean().item<double>();
  CHECK(mean < 3);
  CHECK(encode_jpeg(image, 30).size() < bytes.size());
  CHECK(decode_image(encode_jpeg(image.slice(1, 0, 1).slice(2, 0, 1), 90), "test").numel() == 3);
}
