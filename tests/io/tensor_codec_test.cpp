#include "io/tensor_codec.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "io/deflate.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

at::Tensor normal(at::IntArrayRef shape, double deviation, std::uint64_t seed = 1) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::empty(shape).normal_(0, deviation, generator);
}

struct Coded {
  at::Tensor values;
  TensorCoding coding;
  std::size_t bytes = 0;
};

// Encodes and decodes one tensor.
Coded through(const at::Tensor& values, StoredBits bits, const at::Tensor& start = {}) {
  TensorEncoder encoder;
  const TensorCoding written = encoder.add({values, start, bits});
  const std::string bytes = encoder.finish();
  TensorDecoder decoder(bytes, "x");
  auto [read, coding] = decoder.next(values.sizes(), start.defined(), "t");
  decoder.finish();
  CHECK((coding.form == written.form));
  CHECK(coding.bits == written.bits);
  CHECK(std::abs(coding.stored_bits - written.stored_bits) < 1e-9);
  if (coding.form == TensorForm::kStart) read = start;
  if (coding.form == TensorForm::kLevelsOnStart) read = added_to_start(start, read);
  return {read, coding, bytes.size()};
}

double noise_of(const at::Tensor& read, const at::Tensor& values) {
  return at::sub(read, values).norm().item<double>() / values.norm().item<double>();
}

}  // namespace

TEST_CASE("float32 is lossless, also of special numbers") {
  const at::Tensor values = normal({40, 30}, 0.02);
  values.view({-1}).slice(0, 0, 6).copy_(at::tensor({0.0F, -0.0F, 1e-42F, -3.4e38F, 1.17549435e-38F, 1.0F}));
  const Coded coded = through(values, kFloat32Bits);
  CHECK((coded.coding.form == TensorForm::kFloat32));
  CHECK(at::equal(coded.values, values));
  CHECK(std::signbit(coded.values[0][1].item<float>()));
  CHECK(coded.bytes < 1200 * 4 * 0.87);  // the exponents are alike
}

TEST_CASE("bfloat16 is PyTorch's rounding, and is used for float32 where it is exact") {
  const at::Tensor values = normal({25, 20}, 3);
  const at::Tensor rounded = values.to(at::kBFloat16).to(at::kFloat);
  const Coded coded = through(values, kBFloat16Bits);
  CHECK(at::equal(coded.values, rounded));
  CHECK(coded.bytes < 500 * 11.5 / 8);
  const Coded exact = through(rounded, kFloat32Bits);
  CHECK((exact.coding.form == TensorForm::kBFloat16));
  CHECK(at::equal(exact.values, rounded));
  const at::Tensor largest = at::full({2}, std::numeric_limits<float>::max());
  CHECK(at::isfinite(through(largest, kBFloat16Bits).values).all().item<bool>());
}

TEST_CASE("levels: the error of a normal distribution is near the best of a uniform quantiser") {
  const at::Tensor values = normal({4000}, 0.37);
  // Relative errors of the best uniform quantiser of 2^b − 1 levels (Max, 1960, table II), rounded up.
  const std::vector<std::pair<StoredBits, double>> limits{{2, 0.45}, {3, 0.23}, {4, 0.117}, {5, 0.063}, {8, 0.012}};
  double before = 1e9;
  for (const auto& [bits, limit] : limits) {
    CAPTURE(bits);
    const Coded coded = through(values, bits);
    CHECK((coded.coding.form == TensorForm::kLevels));
    CHECK(coded.coding.bits == bits);
    CHECK(noise_of(coded.values, values) < limit);
    CHECK(static_cast<double>(coded.bytes) <= 4000.0 * bits / 8 + 8);
    CHECK(std::get<0>(at::_unique(coded.values)).numel() <= (1 << bits) - 1);
    CHECK(noise_of(coded.values, values) < before);
    before = noise_of(coded.values, values);
  }
}

TEST_CASE("large and small tensors are as exact as each other, in one stream") {
  TensorEncoder encoder;
  const at::Tensor large = normal({300, 500}, 1), small = normal({40}, 1e-6, 2), one = at::full({1}, -7.3);
  for (const at::Tensor& tensor : {large, small, one}) encoder.add({tensor, {}, 4});
  const std::string bytes = encoder.finish();
  TensorDecoder decoder(bytes, "x");
  CHECK(noise_of(decoder.next({300, 500}, false, "large").values, large) < 0.125);
  CHECK(noise_of(decoder.next({40}, false, "small").values, small) < 0.15);
  CHECK(noise_of(decoder.next({1}, false, "one").values, one) < 0.04);
  decoder.finish();
}

TEST_CASE("a tensor that a new network has is not stored, one near it as its change") {
  const at::Tensor start = at::ones({500});
  const Coded same = through(start.clone(), kFloat32Bits, start);
  CHECK((same.coding.form == TensorForm::kStart));
  CHECK(same.bytes <= 1);
  const at::Tensor near = start + normal({500}, 0.01);
  const Coded coded = through(near, 4, start);
  CHECK((coded.coding.form == TensorForm::kLevelsOnStart));
  CHECK(noise_of(coded.values - 1, near - 1) < 0.125);
  CHECK((through(near, kFloat32Bits, start).coding.form == TensorForm::kFloat32));
}

TEST_CASE("zeros cost next to nothing, and sparse tensors little") {
  const Coded zero = through(at::zeros({100'000}), 8);
  CHECK((zero.coding.form == TensorForm::kZero));
  CHECK(zero.bytes <= 1);
  const at::Tensor sparse = at::zeros({10'000});
  sparse.slice(0, 0, 10'000, 500).fill_(1.5);
  CHECK(through(sparse, 8).bytes < 80);
  CHECK(through(at::zeros({0, 4}), 8).values.numel() == 0);
  CHECK(through(at::scalar_tensor(0.3, at::kDouble), 8).values.item<float>() == doctest::Approx(0.3).epsilon(0.05));
}

TEST_CASE("many tensors in one stream, with flags and numbers between") {
  TensorEncoder encoder;
  const at::Tensor a = normal({7, 9}, 1), b = normal({31}, 1e-5, 2);
  encoder.add({a, {}, 6});
  encoder.add_flag(true);
  encoder.add_floats({0, -1.25F, 3e10F});
  encoder.add({b, {}, kFloat32Bits});
  encoder.add_flag(false);
  const std::string bytes = encoder.finish();
  TensorDecoder decoder(bytes, "x");
  CHECK(noise_of(decoder.next({7, 9}, false, "a").values, a) < 0.04);
  CHECK(decoder.next_flag());
  CHECK(decoder.next_floats(3, "n") == std::vector<float>{0, -1.25F, 3e10F});
  CHECK(at::equal(decoder.next({31}, false, "b").values, b));
  CHECK_FALSE(decoder.next_flag());
  decoder.finish();
}

TEST_CASE("damaged streams are refused, whatever their bytes") {
  const at::Tensor values = normal({50, 40}, 0.1);
  for (const StoredBits bits : {kFloat32Bits, kBFloat16Bits, 8, 4}) {
    TensorEncoder encoder;
    encoder.add({values, {}, bits});
    const std::string bytes = encoder.finish();
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      std::string damaged = bytes.substr(0, i);
      const std::string message = refusal([&] {
        TensorDecoder decoder(damaged, "x.lorikeet");
        decoder.next(values.sizes(), false, "t");
        decoder.finish();
      });
      // Up to four zero bytes at the end are not written, so that the last ones may seem to be among them.
      if (i + 4 < bytes.size() || message != "no error") CHECK(message == has("x.lorikeet: "));
      damaged = bytes;
      damaged[i] = static_cast<char>(~damaged[i]);
      at::Tensor read;
      const std::string other = refusal([&] {
        TensorDecoder decoder(damaged, "x");
        read = decoder.next(values.sizes(), false, "t").values;
      });
      if (other == "no error") CHECK(at::isfinite(read).all().item<bool>());
    }
  }
  const auto first = [](std::string_view bytes, bool has_start) {
    return refusal([&] { TensorDecoder(bytes, "x").next({3}, has_start, "t"); });
  };
  CHECK(first(std::string(1, '\xff'), false) == has("tensor 't': got the form 7"));
  CHECK(first("", false) == has("tensor 't': got no values"));
  CHECK(first("", true) == "no error");
  CHECK(refusal([] { TensorDecoder("", "x").next({1 << 20, 1 << 20}, true, "t"); }) == has("numbers in all"));
}

TEST_CASE("a deflated text comes back with its dictionary alone, within its limit") {
  const std::string dictionary = R"({"base":["resnet50","resnet50.v1"],"classes":)";
  const std::string text = R"({"base":["resnet50","resnet50.v1"],"classes":10})";
  const std::string small = deflate_text(text, dictionary);
  CHECK(small.size() < 12);
  CHECK(inflate_text(small, dictionary, 1000, "x") == text);
  CHECK(inflate_text(deflate_text("", ""), "", 0, "x").empty());
  CHECK(refusal([&] { inflate_text(small, dictionary, text.size() - 1, "x"); }) == has("x: got more than"));
  CHECK(refusal([&] { inflate_text(small + "1", dictionary, 1000, "x"); }) == has("1 bytes after"));
  const std::string bomb = deflate_text(std::string(1 << 24, ' '), "");
  CHECK(bomb.size() < 20'000);
  CHECK(refusal([&] { inflate_text(bomb, "", 1 << 20, "x"); }) == has("got more than 1048576"));
  for (std::size_t i = 0; i < small.size(); ++i)
    CHECK(refusal([&] { inflate_text(small.substr(0, i), dictionary, 1000, "x"); }) == has("not deflated text"));
  CHECK(crc32_of("123456789") == 0xcbf43926U);
}
