#include "image/exif.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "image/exif_samples.h"

using namespace lorikeet;

namespace {

// (H, W, 3), each pixel three times its letter.
at::Tensor letters(const std::vector<std::string>& rows) {
  const auto height = static_cast<std::int64_t>(rows.size()), width = static_cast<std::int64_t>(rows.front().size());
  at::Tensor out = at::empty({height, width, 3}, at::kByte);
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x)
      out[y][x].fill_(static_cast<int>(rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)]));
  }
  return out;
}

}  // namespace

TEST_CASE("the eight orientations turn and mirror an image") {
  // As EXIF defines them by where the first row and the first column of the stored image belong: 1 top and left, 2 top
  // and right, 3 bottom and right, 4 bottom and left, 5 left and top, 6 right and top, 7 right and bottom, 8 left and
  // bottom.
  const at::Tensor stored = letters({"abc", "def"});
  const std::array<std::vector<std::string>, 8> shown{{{"abc", "def"},
                                                       {"cba", "fed"},
                                                       {"fed", "cba"},
                                                       {"def", "abc"},
                                                       {"ad", "be", "cf"},
                                                       {"da", "eb", "fc"},
                                                       {"fc", "eb", "da"},
                                                       {"cf", "be", "ad"}}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const at::Tensor out = upright(stored, orientation);
    CHECK(out.is_contiguous());
    CHECK(out.equal(letters(shown[static_cast<std::size_t>(orientation - 1)])));
  }
}

TEST_CASE("images larger than a block are turned like small ones") {
  const at::Tensor stored = at::randint(256, {70, 97, 3}, at::kByte);
  CHECK(upright(stored, 3).equal(stored.flip({0, 1})));
  CHECK(upright(stored, 5).equal(stored.transpose(0, 1)));
  CHECK(upright(stored, 6).equal(stored.flip({0}).transpose(0, 1)));
  CHECK(upright(stored, 8).equal(stored.flip({1}).transpose(0, 1)));
}

TEST_CASE("the orientation is read in both byte orders, as SHORT and as LONG") {
  for (const bool big_endian : {false, true}) {
    for (std::uint32_t value = 1; value <= 8; ++value) {
      CHECK(exif_orientation(exif_with(value, {.big_endian = big_endian})) == static_cast<int>(value));
      CHECK(exif_orientation(exif_with(value, {.big_endian = big_endian, .type = 4})) == static_cast<int>(value));
      CHECK(exif_orientation(exif_with(value, {.big_endian = big_endian, .others_before = 3})) ==
            static_cast<int>(value));
    }
  }
}

TEST_CASE("malformed EXIF counts as none") {
  const std::string good = exif_with(6);
  REQUIRE(exif_orientation(good) == 6);
  for (std::size_t size = 0; size < kExifHeader + 2 + 12; ++size)
    CHECK(exif_orientation(std::string_view(good).substr(0, size)) == kUpright);
  CHECK(exif_orientation(exif_with(0)) == kUpright);
  CHECK(exif_orientation(exif_with(9)) == kUpright);
  CHECK(exif_orientation(exif_with(6 + 65536)) == 6);  // the other two bytes of a SHORT's field do not count
  CHECK(exif_orientation(exif_with(6 + 65536, {.type = 4})) == kUpright);
  CHECK(exif_orientation(exif_with(6, {.type = 2})) == kUpright);
  CHECK(exif_orientation(exif_with(6, {.count = 0})) == kUpright);
  CHECK(exif_orientation(exif_with(6, {.count = 0xffffffff})) == kUpright);
  for (const std::uint32_t offset : {0u, 4u, 9u, 26u, 0x7fffffffu, 0xfffffff0u, 0xfffffffeu, 0xffffffffu})
    CHECK(exif_orientation(exif_with(6, {.directory = offset})) == kUpright);
  std::string many = good;
  many[kExifHeader] = many[kExifHeader + 1] = '\xff';  // more entries than there are
  CHECK(exif_orientation(many) == 6);
  many[kExifHeader + 2] = 0;  // none of which is the orientation
  CHECK(exif_orientation(many) == kUpright);
}
