#include "image/webp.h"

#include <ATen/Functions.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/error.h"
#include "image/decode.h"
#include "image/exif.h"

namespace lorikeet {
namespace {

[[noreturn]] void fail_webp(const std::string& where) {
  fail(where, ": got a WebP that is corrupt or truncated, expected an intact one.");
}

std::string_view exif_of(WebPDemuxer* demuxer) {
  WebPChunkIterator chunk{};
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) == 0) return {};
  std::string_view exif(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);  // in the file's bytes
  WebPDemuxReleaseChunkIterator(&chunk);
  if (exif.starts_with(kExifPrefix)) exif.remove_prefix(kExifPrefix.size());
  return exif;
}

void decode_into(const std::uint8_t* data, std::size_t size, const at::Tensor& pixels, const std::string& where) {
  const auto stride = static_cast<int>(3 * pixels.size(1));
  if (WebPDecodeRGBInto(data, size, pixels.mutable_data_ptr<std::uint8_t>(), pixels.nbytes(), stride) == nullptr)
    fail_webp(where);
}

}  // namespace

at::Tensor decode_webp(std::string_view bytes, const std::string& where, Exif exif) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(data.bytes, data.size, &features) != VP8_STATUS_OK) fail_webp(where);
  check_image_size(features.width, features.height, where);
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) fail_webp(where);
  const auto options = at::TensorOptions().dtype(at::kByte);
  at::Tensor pixels;
  if (features.has_animation == 0) {
    pixels = at::empty({features.height, features.width, 3}, options);
    decode_into(data.bytes, data.size, pixels, where);
  } else {
    // The first frame, which may cover only a part of the canvas. The rest is transparent black.
    WebPIterator frame{};
    if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) fail_webp(where);
    const std::unique_ptr<WebPIterator, void (*)(WebPIterator*)> release(&frame, WebPDemuxReleaseIterator);
    WebPBitstreamFeatures own{};
    if (WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &own) != VP8_STATUS_OK) fail_webp(where);
    const bool fits = own.width == frame.width && own.height == frame.height && frame.x_offset >= 0 &&
                      frame.y_offset >= 0 && frame.x_offset + frame.width <= features.width &&
                      frame.y_offset + frame.height <= features.height;
    if (!fits) fail_webp(where);
    pixels = at::zeros({features.height, features.width, 3}, options);
    at::Tensor part = at::empty({frame.height, frame.width, 3}, options);
    decode_into(frame.fragment.bytes, frame.fragment.size, part, where);
    pixels.narrow(0, frame.y_offset, frame.height).narrow(1, frame.x_offset, frame.width).copy_(part);
  }
  return exif == Exif::kApply ? upright(pixels, exif_orientation(exif_of(demuxer.get()))) : pixels;
}

}  // namespace lorikeet
