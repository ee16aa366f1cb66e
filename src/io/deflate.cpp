#include "io/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>

#include "base/error.h"

namespace lorikeet {
namespace {

constexpr int kRawWindow = -15;  // the largest window, without zlib's header and checksum
constexpr int kMostMemory = 9;

// zlib does not write to its input, although its pointer is not const.
Bytef* bytes_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }
uInt size_of(std::string_view text) {
  assert(text.size() <= std::numeric_limits<uInt>::max());
  return static_cast<uInt>(text.size());
}

struct Inflater {
  z_stream stream{};
  ~Inflater() { inflateEnd(&stream); }
};

}  // namespace

std::string deflate_text(std::string_view text, std::string_view dictionary) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kRawWindow, kMostMemory, Z_DEFAULT_STRATEGY) != Z_OK)
    fail("deflate: cannot be started.");
  deflateSetDictionary(&stream, bytes_of(dictionary), size_of(dictionary));
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = bytes_of(text);
  stream.avail_in = size_of(text);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = size_of(out);
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) fail("deflate: got ", result, ", expected the end of the text.");
  return out;
}

std::string inflate_text(std::string_view bytes, std::string_view dictionary, std::size_t limit,
                         const std::string& where) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  if (inflateInit2(&stream, kRawWindow) != Z_OK) fail(where, ": inflate cannot be started.");
  inflateSetDictionary(&stream, bytes_of(dictionary), size_of(dictionary));
  stream.next_in = bytes_of(bytes);
  stream.avail_in = size_of(bytes);
  std::string out;
  std::array<char, 1 << 14> part{};
  for (int result = Z_OK; result != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = static_cast<uInt>(part.size());
    result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END)
      fail(where, ": got bytes that are not deflated text. The file is damaged.");
    out.append(part.data(), part.size() - stream.avail_out);
    if (out.size() > limit) fail(where, ": got more than ", limit, " bytes of text, expected fewer.");
  }
  if (stream.avail_in != 0) fail(where, ": got ", stream.avail_in, " bytes after the deflated text, expected none.");
  return out;
}

std::uint32_t crc32_of(std::string_view bytes) {
  std::uint32_t out = 0;
  for (std::size_t begin = 0; begin < bytes.size(); begin += 1U << 30) {
    const std::string_view part = bytes.substr(begin, 1U << 30);
    out = static_cast<std::uint32_t>(crc32(out, bytes_of(part), size_of(part)));
  }
  return out;
}

}  // namespace lorikeet
