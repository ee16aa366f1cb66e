#include "image/encode_jpeg.h"

// libjpeg's headers need <cstdio> before them.
#include <cstdio>
// clang-format off
#include <jpeglib.h>
// clang-format on

#include <csetjmp>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"

namespace lorikeet {
namespace {

// Exceptions must not pass through libjpeg, which is C. An error jumps back to `compress`.
struct EncoderErrors : jpeg_error_mgr {
  std::jmp_buf back;
};

[[noreturn]] void on_encoder_error(j_common_ptr info) { std::longjmp(static_cast<EncoderErrors*>(info->err)->back, 1); }

struct Pixels {
  const std::uint8_t* rows;  // (H, W, 3)
  JDIMENSION height, width;
};

// Returns whether it succeeded. `bytes` is allocated by libjpeg, to be freed by the caller in any case.
bool compress(const Pixels& pixels, int quality, unsigned char*& bytes, unsigned long& size) {
  jpeg_compress_struct info{};
  EncoderErrors errors{};
  info.err = jpeg_std_error(&errors);
  errors.error_exit = on_encoder_error;
  if (setjmp(errors.back) != 0) {
    jpeg_destroy_compress(&info);
    return false;
  }
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = pixels.width;
  info.image_height = pixels.height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;  // no chroma subsampling
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(pixels.rows + std::size_t{3} * pixels.width * info.next_scanline);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  return true;
}

}  // namespace

std::string encode_jpeg(const at::Tensor& image, int quality) {
  const at::Tensor rows = image.permute({1, 2, 0}).contiguous();  // (H, W, 3)
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const bool done = compress({rows.const_data_ptr<std::uint8_t>(), static_cast<JDIMENSION>(rows.size(0)),
                              static_cast<JDIMENSION>(rows.size(1))},
                             quality, bytes, size);
  std::string out(reinterpret_cast<const char*>(bytes), done ? size : 0);
  std::free(bytes);
  if (!done) fail("image: cannot be encoded as JPEG.");
  return out;
}

}  // namespace lorikeet
