#include "image/gif.h"

#include <ATen/Functions.h>
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "image/decode.h"

namespace lorikeet {
namespace {

constexpr std::size_t kGifColors = 256;

int read_gif_bytes(GifFileType* file, GifByteType* into, int count) {
  auto& rest = *static_cast<std::string_view*>(file->UserData);
  const std::size_t taken = std::min(rest.size(), static_cast<std::size_t>(std::max(count, 0)));
  std::memcpy(into, rest.data(), taken);
  rest.remove_prefix(taken);
  return static_cast<int>(taken);
}

struct GifClose {
  void operator()(GifFileType* file) const {
    int error = 0;
    DGifCloseFile(file, &error);
  }
};

class GifReader {
 public:
  GifReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {
    int error = 0;
    file_.reset(DGifOpen(&rest_, read_gif_bytes, &error));
    if (!file_) broken(error);
  }

  at::Tensor read() {
    for (;;) {
      GifRecordType type = UNDEFINED_RECORD_TYPE;
      check(DGifGetRecordType(file_.get(), &type));
      if (type == EXTENSION_RECORD_TYPE) {
        read_extension();
      } else if (type == IMAGE_DESC_RECORD_TYPE) {
        return read_frame();
      } else {
        fail(where_, ": got a GIF without an image, expected one.");
      }
    }
  }

 private:
  [[noreturn]] void broken(int error) const {
    const char* reason = GifErrorString(error);
    fail(where_, ": got a GIF that is corrupt or truncated (", reason == nullptr ? "unknown error" : reason,
         "), expected an intact one.");
  }
  void check(int status) const {
    if (status == GIF_ERROR) broken(file_->Error);
  }

  void read_extension() {
    int code = 0;
    GifByteType* block = nullptr;  // its length, then its bytes
    check(DGifGetExtension(file_.get(), &code, &block));
    while (block != nullptr) {
      GraphicsControlBlock control{};
      if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent_ = control.TransparentColor;
      check(DGifGetExtensionNext(file_.get(), &block));
    }
  }

  at::Tensor read_frame() {
    check(DGifGetImageDesc(file_.get()));
    const GifImageDesc& frame = file_->Image;
    const std::int64_t width = std::max<std::int64_t>(file_->SWidth, std::int64_t{frame.Left} + frame.Width);
    const std::int64_t height = std::max<std::int64_t>(file_->SHeight, std::int64_t{frame.Top} + frame.Height);
    check_image_size(width, height, where_);
    check_image_size(frame.Width, frame.Height, where_);
    const auto background = static_cast<std::uint8_t>(transparent_ == NO_TRANSPARENT_COLOR ? 0 : transparent_);
    std::vector<std::uint8_t> indices(static_cast<std::size_t>(width * height), background);
    // Interlaced GIFs have rows 0, 8 …, then 4, 12 …, 2, 6 …, and 1, 3 ….
    constexpr std::array<int, 4> kFirst{0, 4, 2, 1}, kStep{8, 8, 4, 2};
    for (std::size_t pass = 0; pass < (frame.Interlace ? kFirst.size() : 1); ++pass) {
      for (int y = frame.Interlace ? kFirst[pass] : 0; y < frame.Height; y += frame.Interlace ? kStep[pass] : 1) {
        auto* row = &indices[static_cast<std::size_t>((frame.Top + y) * width + frame.Left)];
        check(DGifGetLine(file_.get(), row, frame.Width));
      }
    }
    const auto palette = colors(frame.ColorMap != nullptr ? frame.ColorMap : file_->SColorMap);
    at::Tensor pixels = at::empty({height, width, 3}, at::TensorOptions().dtype(at::kByte));
    auto* to = pixels.mutable_data_ptr<std::uint8_t>();
    for (const std::uint8_t index : indices) to = std::copy_n(palette[index].begin(), 3, to);
    return pixels;
  }

  // Grey without a palette, as in PIL.
  static std::array<std::array<std::uint8_t, 3>, kGifColors> colors(const ColorMapObject* map) {
    std::array<std::array<std::uint8_t, 3>, kGifColors> out{};
    for (std::size_t i = 0; i < kGifColors; ++i) {
      const auto grey = static_cast<std::uint8_t>(i);
      if (map == nullptr) {
        out[i] = {grey, grey, grey};
      } else if (static_cast<int>(i) < map->ColorCount) {
        out[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
      }
    }
    return out;
  }

  std::string_view rest_;
  const std::string& where_;
  std::unique_ptr<GifFileType, GifClose> file_;
  int transparent_ = NO_TRANSPARENT_COLOR;
};

}  // namespace

at::Tensor decode_gif(std::string_view bytes, const std::string& where) { return GifReader(bytes, where).read(); }

}  // namespace lorikeet
