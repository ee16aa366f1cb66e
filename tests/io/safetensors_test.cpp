#include "io/safetensors.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "base/file.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

// A file with `header` and `data_bytes` zero bytes after it.
std::string file_with(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\0');
}

std::string message_of(const std::string& content) {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.safetensors";
  write_file(path, content);
  try {
    read_safetensors(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool safetensors_refused(const std::string& content, const std::string& because) {
  const std::string message = message_of(content);
  CAPTURE(message);
  CHECK(message.find("x.safetensors") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CAPTURE(because);
  return message.find(because) != std::string::npos;
}

}  // namespace

TEST_CASE("tensors come back as written, with names, order, dtypes and metadata") {
  const TemporaryFolder folder;
  NamedTensors out;
  out.metadata["format"] = "pt";
  out.add("b", at::arange(6, at::kFloat).reshape({2, 3}));
  out.add("a", at::scalar_tensor(7, at::kLong));
  out.add("h", at::ones({3}, at::kBFloat16));
  out.add("empty", at::empty({0, 4}));
  write_safetensors(folder.path / "x.safetensors", out);

  const NamedTensors in = read_safetensors(folder.path / "x.safetensors");
  REQUIRE(in.size() == 4);
  CHECK(in.metadata.at("format") == "pt");
  CHECK(in.begin()->first == std::string("b"));
  for (const auto& [name, tensor] : out) {
    CAPTURE(name);
    REQUIRE(in.contains(name));
    CHECK((in.find(name)->scalar_type() == tensor.scalar_type()));
    CHECK(at::equal(*in.find(name), tensor));
  }
}

TEST_CASE("a header may be as long as its file, and no longer than 100 MB") {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.safetensors";
  const std::uint64_t length = 100'000'001;
  write_file(path, std::string(reinterpret_cast<const char*>(&length), 8));
  std::filesystem::resize_file(path, 8 + length);
  CHECK_THROWS_WITH_AS(read_safetensors(path), doctest::Contains("got a header of 100,000,001 bytes"), Error);
  CHECK(safetensors_refused(file_with("{}", 0).substr(0, 9), "got a header of 2 bytes in a file of 9"));
}

TEST_CASE("a shape with a zero in it is checked like any other") {
  const auto with_shape = [](const std::string& shape) {
    return file_with(R"({"t":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,0]}})", 0);
  };
  for (const char* shape :
       {"[0,4611686018427387904,4611686018427387904]", "[4611686018427387904,4611686018427387904,0]",
        "[0,9223372036854775807,1]", "[0,9223372036854775808]", "[0,18446744073709551615]"}) {
    CAPTURE(shape);
    CHECK(safetensors_refused(with_shape(shape), "tensor 't': got the shape"));
  }
  for (const char* shape : {"[0]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "[2,0,1099511627776]"}) {
    CAPTURE(shape);
    CHECK(message_of(with_shape(shape)) == "");
  }
}

TEST_CASE("hostile safetensors files are refused, by name") {
  CHECK(safetensors_refused("abc", "truncated"));
  CHECK(safetensors_refused(std::string(8, '\xff'), "header"));
  CHECK(safetensors_refused(file_with("{", 0), "broken JSON"));
  CHECK(safetensors_refused(file_with("[]", 0), "expected an object"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4), "truncated"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 12),
                            "data after the tensors"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "12 bytes"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "data_offsets"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "integer"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}})", 8), "dtype"));
  CHECK(safetensors_refused(
      file_with(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0), "64 bits"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                                      6),
                            "overlap"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                      4),
                            "twice"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4), "'x'"));
  CHECK(safetensors_refused(file_with(R"({"__metadata__":{"a":1}})", 0), "__metadata__"));
  CHECK(safetensors_refused(file_with(std::string(50, '[') + std::string(50, ']'), 0), "nested"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                      12),
                            "gaps"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                      4),
                            "tensor 'b': got data that starts at 0, expected 4"));
  CHECK(safetensors_refused(
      file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551616]}})", 4),
      "integer"));
  CHECK(safetensors_refused(
      file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551611,18446744073709551615]}})", 4),
      "starts at"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4), "integer"));
  CHECK(safetensors_refused(
      file_with(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4), "64 bits"));
  CHECK(safetensors_refused(
      file_with(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4),
      "at most 16 sizes"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "2 keys"));
  CHECK(safetensors_refused(file_with(R"({"a":null})", 0), "got null"));
  CHECK(safetensors_refused(file_with(R"({"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}})", 4), "dtype"));
  CHECK(safetensors_refused(file_with(R"({"__metadata__":[]})", 0), "a list as __metadata__"));
  // A message stays a message, whatever the file holds.
  CHECK(message_of(file_with(R"({"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,")" +
                                 std::string(100'000, 'x') + R"("],"data_offsets":[0,4]}})",
                             4))
            .size() < 1000);
  CHECK(message_of(file_with("{\"" + std::string(100'000, 'x') + R"(":1})", 0)).size() < 1000);
}
