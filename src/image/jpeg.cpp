#include "image/jpeg.h"

#include <ATen/Functions.h>

// libjpeg's headers need <cstdio> before them.
#include <cstdio>
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdint>

#include "base/error.h"
#include "base/text.h"
#include "image/decode.h"
#include "image/exif.h"

namespace lorikeet {
namespace {

constexpr int kApp1 = JPEG_APP0 + 1;
constexpr unsigned kLongestSegment = 0xffff;
constexpr int kEndOfImage = 0xd9;

// Exceptions must not pass through libjpeg, which is C. An error jumps back to JpegDecoder::run.
struct ErrorManager : jpeg_error_mgr {
  std::jmp_buf back;
  std::array<char, JMSG_LENGTH_MAX> message;
  bool in_header = true;
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = static_cast<ErrorManager*>(info->err);
  errors->format_message(info, errors->message.data());
  std::longjmp(errors->back, 1);
}

// Warnings that leave every pixel intact. The first two are frequent in well-known datasets (Cats vs Dogs): padding
// before the end marker or between header segments, an unknown JFIF version, an unknown Adobe transform (read as YCbCr,
// as other decoders do), progressive parameters in a sequential scan.
bool is_harmless(const ErrorManager& errors) {
  switch (errors.msg_code) {
    case JWRN_EXTRANEOUS_DATA: return errors.in_header || errors.msg_parm.i[1] == kEndOfImage;
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_NOT_SEQUENTIAL: return true;
    default: return false;
  }
}

// Called for each warning, with a level below 0. Unless it is harmless, some pixels are wrong.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && !is_harmless(*static_cast<ErrorManager*>(info->err))) on_error(info);
}

class JpegDecoder {
 public:
  explicit JpegDecoder(const std::string& where) : where_(where) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  /// To be called first. `bytes` must outlive the object.
  void read_header(std::string_view bytes) {
    run([&] {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      jpeg_save_markers(&info_, kApp1, kLongestSegment);
      jpeg_read_header(&info_, /*require_image=*/TRUE);
    });
    errors_.in_header = false;
  }

  std::int64_t width() const { return info_.image_width; }
  std::int64_t height() const { return info_.image_height; }
  bool is_cmyk() const { return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK; }

  /// Reads height() rows of width() pixels, of 4 bytes for CMYK and 3 otherwise.
  void read_pixels(std::uint8_t* to) {
    const std::size_t row_bytes = static_cast<std::size_t>(info_.image_width) * (is_cmyk() ? 4 : 3);
    run([&] {
      info_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = to + info_.output_scanline * row_bytes;
        jpeg_read_scanlines(&info_, &row, 1);
      }
      jpeg_finish_decompress(&info_);  // reads to the end marker, to detect truncation
    });
  }

  /// To be called before read_pixels, which frees the header segments.
  int orientation() const {
    for (const jpeg_saved_marker_ptr* marker = &info_.marker_list; *marker != nullptr; marker = &(*marker)->next) {
      const std::string_view content(reinterpret_cast<const char*>((*marker)->data), (*marker)->data_length);
      if (content.starts_with(kExifPrefix)) return exif_orientation(content.substr(kExifPrefix.size()));
    }
    return kUpright;
  }

 private:
  // `calls` must not own objects with destructors, because an error jumps out of it.
  template <typename Calls>
  void run(const Calls& calls) {
    if (setjmp(errors_.back) == 0) {
      calls();
      return;
    }
    const std::string reason = printable(errors_.message.data());
    if (errors_.msg_code == JWRN_JPEG_EOF)
      fail(where_, ": got a truncated JPEG (", reason, "), expected a complete one.");
    fail(where_, ": got a JPEG that is corrupt or not supported (", reason, "), expected an intact one.");
  }

  const std::string& where_;
  jpeg_decompress_struct info_{};
  ErrorManager errors_{};
};

// PIL treats every CMYK JPEG as inverted, as Adobe writes them, and rounds the product in this way.
at::Tensor rgb_of_inverted_cmyk(const at::Tensor& cmyk) {
  at::Tensor rgb = at::empty({cmyk.size(0), cmyk.size(1), 3}, cmyk.options());
  const std::uint8_t* from = cmyk.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = rgb.mutable_data_ptr<std::uint8_t>();
  const std::uint8_t* const end = from + cmyk.numel();
  for (; from != end; from += 4, to += 3) {
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * from[3] + 128;
      to[c] = static_cast<std::uint8_t>(std::max(0, from[3] - ((product >> 8) + product) / 256));
    }
  }
  return rgb;
}

// Returns at least the number of scans that the decoder will process: those before the end marker, without segments
// such as an EXIF thumbnail and without appended data (a second image, a video). Like the decoder, it skips a segment
// by its length, that of a scan's header included, whose bytes may look like an end marker.
std::int64_t count_scans(std::string_view bytes) {
  constexpr unsigned kStuffed = 0, kTemporary = 0x01, kFirstRestart = 0xd0, kStartOfImage = 0xd8, kStartOfScan = 0xda,
                     kFill = 0xff;
  std::int64_t scans = 0;
  for (std::size_t at = bytes.find('\xff'); at != std::string_view::npos && at + 1 < bytes.size();
       at = bytes.find('\xff', at)) {
    const unsigned marker = static_cast<std::uint8_t>(bytes[at + 1]);
    if (marker == kFill) {
      ++at;
      continue;
    }
    at += 2;
    if (marker == kEndOfImage) break;
    if (marker == kStartOfScan) ++scans;
    const bool has_no_length =
        marker == kStuffed || marker == kTemporary || (marker >= kFirstRestart && marker <= kStartOfImage);
    if (has_no_length || at + 1 >= bytes.size()) continue;
    at += std::size_t{static_cast<std::uint8_t>(bytes[at])} << 8 | static_cast<std::uint8_t>(bytes[at + 1]);
  }
  return scans;
}

}  // namespace

at::Tensor decode_jpeg(std::string_view bytes, const std::string& where, Exif exif) {
  at::Tensor pixels;
  int orientation = kUpright;
  {
    JpegDecoder decoder(where);
    decoder.read_header(bytes);
    const std::int64_t width = decoder.width(), height = decoder.height();
    check_image_size(width, height, where);
    const std::int64_t most_scans = kMaxScannedPixels / (width * height);
    if (const std::int64_t scans = count_scans(bytes); scans > most_scans) {
      fail(where, ": got a JPEG of ", width, " x ", height, " pixels in ", scans, " scans, expected at most ",
           most_scans, " scans for this size. Such a file is designed to take very long.");
    }
    const bool cmyk = decoder.is_cmyk();
    pixels = at::empty({height, width, cmyk ? 4 : 3}, at::TensorOptions().dtype(at::kByte));
    orientation = decoder.orientation();
    decoder.read_pixels(pixels.mutable_data_ptr<std::uint8_t>());
    if (cmyk) pixels = rgb_of_inverted_cmyk(pixels);
  }  // frees the coefficients of a progressive JPEG, at least twice the pixels, before the next copy
  return exif == Exif::kApply ? upright(pixels, orientation) : pixels;
}

}  // namespace lorikeet
