#include "data/image_files.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/file.h"
#include "image/decode.h"

namespace lorikeet {
namespace {

class ImageFiles final : public Dataset {
 public:
  ImageFiles(std::vector<ImageFile> files, std::vector<std::string> classes, Exif exif)
      : files_(std::move(files)), classes_(std::move(classes)), exif_(exif) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Sample get(std::int64_t index) const override { return {read_image(file(index).path, exif_), file(index).label}; }
  std::int64_t label(std::int64_t index) const override { return file(index).label; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe(std::int64_t index) const override { return file(index).path.string(); }
  std::uint64_t stored_size(std::int64_t index) const override { return InputFile(file(index).path).size(); }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    const InputFile stored(file(index).path);
    std::string out(std::min(most, stored.size()), '\0');
    stored.read(stored.size() - out.size(), std::as_writable_bytes(std::span(out)));
    return out;
  }
  ImageCheck check(std::int64_t index) const override { return check_image(file(index).path); }

 private:
  const ImageFile& file(std::int64_t index) const { return files_[static_cast<std::size_t>(index)]; }

  std::vector<ImageFile> files_;
  std::vector<std::string> classes_;
  Exif exif_;
};

}  // namespace

std::shared_ptr<const Dataset> image_files(std::vector<ImageFile> files, std::vector<std::string> classes, Exif exif) {
  return std::make_shared<ImageFiles>(std::move(files), std::move(classes), exif);
}

}  // namespace lorikeet
