#include "io/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "io/gzip.h"

namespace lorikeet {
namespace {

struct CloseArchive {
  void operator()(struct archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<struct archive, CloseArchive>;

constexpr std::size_t kBlock = 1 << 16;
constexpr std::size_t kMaxListed = 200;  // names kept for a hint
constexpr std::uint64_t kMaxEntries = 1'000'000;

// Only formats and filters built into libarchive; "all" includes some that start programs.
Reader make_reader() {
  Reader reader(archive_read_new());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_zip(reader.get());
  archive_read_support_format_ar(reader.get());
  return reader;
}

std::string message_of(struct archive* reader) {
  const char* message = archive_error_string(reader);
  return printable(message == nullptr ? "unknown error" : message);
}

std::string_view without_dot(std::string_view name) { return name.starts_with("./") ? name.substr(2) : name; }

// Passes the data of the current entry of the archive `outer` to a reader of the nested archive.
la_ssize_t read_entry(struct archive* inner, void* outer_pointer, const void** block) {
  auto* outer = static_cast<struct archive*>(outer_pointer);
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(outer, block, &size, &offset);
  if (result == ARCHIVE_EOF) return 0;
  if (result == ARCHIVE_OK) return static_cast<la_ssize_t>(size);
  archive_set_error(inner, archive_errno(outer), "%s", archive_error_string(outer));
  return -1;
}

class Search {
 public:
  Search(const std::filesystem::path& archive, const std::string& member, const std::filesystem::path& destination,
         std::uint64_t limit)
      : archive_(archive.string()), member_(without_dot(member)), destination_(destination), limit_(limit) {}

  void run() {
    static_cast<void>(InputFile(archive_));  // throws our own message if the file is missing or not regular
    const Reader reader = make_reader();
    if (archive_read_open_filename(reader.get(), archive_.c_str(), kBlock) != ARCHIVE_OK) broken(reader.get());
    if (find(reader.get(), false)) return;
    fail(archive_, ": got no '", printable(member_), "' in it.", did_you_mean(member_, names_));
  }

 private:
  [[noreturn]] void broken(struct archive* reader) const {
    fail(archive_, ": cannot be read: ", message_of(reader),
         ". It is truncated, broken or not an archive; download it again.");
  }

  // Returns whether the member was found and written. Descends one level, for the data.tar.* of a .deb.
  bool find(struct archive* reader, bool nested) {
    for (std::uint64_t i = 0; i < kMaxEntries; ++i) {
      struct archive_entry* entry = nullptr;
      const int result = archive_read_next_header(reader, &entry);
      if (result == ARCHIVE_EOF) return false;
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) broken(reader);
      const char* raw = archive_entry_pathname(entry);
      if (raw == nullptr) continue;  // a name that cannot be converted, so not the requested one
      const std::string name(without_dot(raw));
      if (name == member_) {
        write(reader, entry);
        return true;
      }
      if (names_.size() < kMaxListed && archive_entry_filetype(entry) == AE_IFREG) names_.push_back(printable(name));
      const bool is_ar = (archive_format(reader) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_AR;
      if (!nested && is_ar && name.starts_with("data.tar")) {
        const Reader inner = make_reader();
        if (archive_read_open(inner.get(), reader, nullptr, read_entry, nullptr) != ARCHIVE_OK) broken(inner.get());
        if (find(inner.get(), true)) return true;
      }
    }
    fail(archive_, ": got more than ", kMaxEntries, " members, expected fewer.");
  }

  void write(struct archive* reader, struct archive_entry* entry) const {
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr) {
      fail(archive_, ": got a folder or a link as '", printable(member_), "', expected a regular file.");
    }
    const auto too_large = [&] {
      fail(archive_, ": got a '", printable(member_), "' of more than ", human_bytes(limit_),
           ", expected at most that.");
    };
    if (archive_entry_size_is_set(entry) != 0 && static_cast<std::uint64_t>(archive_entry_size(entry)) > limit_)
      too_large();
    AtomicFile out(destination_);
    std::vector<char> block(kBlock);
    std::uint64_t written = 0;
    for (;;) {
      const la_ssize_t got = archive_read_data(reader, block.data(), block.size());
      if (got < 0) broken(reader);  // includes a wrong checksum
      if (got == 0) break;
      written += static_cast<std::uint64_t>(got);
      if (written > limit_) too_large();  // whatever the header says
      out.write(block.data(), static_cast<std::size_t>(got));
    }
    out.commit();
  }

  std::string archive_;
  std::string member_;
  std::filesystem::path destination_;
  std::uint64_t limit_;
  std::vector<std::string> names_;
};

}  // namespace

void extract_member(const std::filesystem::path& archive, const std::string& member,
                    const std::filesystem::path& destination, std::uint64_t limit) {
  Search(archive, member, destination, limit).run();
}

void gunzip(const std::filesystem::path& packed, const std::filesystem::path& destination, std::uint64_t limit) {
  GzipInput input(packed);
  if (!input.gzipped()) fail(packed.string(), ": got something else, expected a gzip file. Download it again.");
  AtomicFile out(destination);
  std::vector<std::uint8_t> block(kBlock);
  for (std::uint64_t written = 0;;) {
    const std::size_t got = input.read(block.data(), block.size());
    if (got == 0) break;
    written += got;
    if (written > limit)
      fail(packed.string(), ": got more than ", human_bytes(limit), " after decompression, expected at most that.");
    out.write(block.data(), got);
  }
  out.commit();
}

}  // namespace lorikeet
