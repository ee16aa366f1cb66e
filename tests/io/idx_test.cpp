#include "io/idx.h"

#include <doctest/doctest.h>

#include <string>

#include "io/gzip.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;
using namespace std::string_literals;

namespace {

const std::string kThree = "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03"s;  // the header of a 2 × 2 × 3 array
const std::string kElements = "abcdefghijkl";

IdxArray read_array(const std::string& content, int dimensions = 3) {
  const TemporaryFolder folder;
  put(folder.path / "x.idx", content);
  return read_idx(folder.path / "x.idx", dimensions);
}

bool idx_refused(const std::string& content, const std::string& because, int dimensions = 3) {
  std::string message;
  try {
    read_array(content, dimensions);
  } catch (const Error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CAPTURE(because);
  CHECK(message.find("x.idx") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  return message.find(because) != std::string::npos;
}

}  // namespace

TEST_CASE("IDX arrays are read, plain and gzipped") {
  for (const auto& content : {kThree + kElements, gzip(kThree + kElements)}) {
    const IdxArray array = read_array(content);
    CHECK(array.shape == std::vector<std::int64_t>{2, 2, 3});
    CHECK(std::string(array.bytes.begin(), array.bytes.end()) == kElements);
  }
  const IdxArray labels = read_array("\0\0\x08\x01\0\0\0\x02\x07\x09"s, 1);
  CHECK(labels.bytes == std::vector<std::uint8_t>{7, 9});
  CHECK(read_array("\0\0\x08\x01\0\0\0\0"s, 1).bytes.empty());
}

TEST_CASE("what is not the IDX file expected is refused") {
  CHECK(idx_refused("", "expected an IDX file"));
  CHECK(idx_refused("<html>", "expected an IDX file"));
  CHECK(idx_refused("\0\0\x0d\x03"s + kThree.substr(4) + kElements, "type 13"));
  CHECK(idx_refused(kThree + kElements, "3 dimensions, expected 1", 1));
  CHECK(idx_refused(kThree + kElements + "x", "expected the file to end"));
  CHECK(idx_refused(gzip(kThree + kElements + "x"), "expected the file to end"));
  CHECK(idx_refused(gzip(kThree + kElements + std::string(50'000'000, '\0')), "expected the file to end"));
  CHECK(idx_refused("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s, "larger than 1.00 GiB"));
  CHECK(idx_refused("\0\0\x08\x01\x3f\xff\xff\xff"s, "truncated", 1));        // announces 1 GiB
  CHECK(idx_refused(gzip("\0\0\x08\x01\x3f\xff\xff\xff"s), "truncated", 1));  // no allocation for it either
  CHECK_THROWS_AS(read_idx("/nonexistent/x.idx", 1), Error);
  CHECK_THROWS_AS(read_idx("/tmp", 1), Error);
}

TEST_CASE("a file cut off anywhere is refused, a corrupt gzip file too") {
  const std::string plain = kThree + kElements;
  for (std::size_t size = 0; size < plain.size(); ++size) CHECK_THROWS_AS(read_array(plain.substr(0, size)), Error);
  const std::string packed = gzip(plain);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(read_array(packed.substr(0, size)), Error);
  }
  for (std::size_t i = packed.size() - 8; i < packed.size(); ++i) {  // the checksum and the length
    std::string changed = packed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK(idx_refused(changed, "broken gzip data"));
  }
  for (std::size_t i = 0; i < packed.size(); ++i) {
    std::string changed = packed;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    std::size_t elements = kElements.size();
    try {
      elements = read_array(changed).bytes.size();
    } catch (const Error&) {
    }
    CHECK(elements == kElements.size());
  }
}
