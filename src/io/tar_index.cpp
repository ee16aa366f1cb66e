#include "io/tar_index.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kTarBlock = 512;       // bytes
constexpr std::size_t kTarReadSize = 1 << 16;  // bytes

}  // namespace

bool for_each_tar_member(const std::filesystem::path& archive, const std::function<void(const TarMember&)>& found) {
  const std::string where = archive.string();
  const std::uint64_t file_size = InputFile(archive).size();
  const std::unique_ptr<struct archive, int (*)(struct archive*)> reader(archive_read_new(), archive_read_free);
  if (!reader) fail(where, ": cannot be read: out of memory.");
  archive_read_support_format_tar(reader.get());  // and no filter: offsets of compressed archives would be of no use
  // Several archives in one file, as by cat, are read as one.
  archive_read_set_format_option(reader.get(), "tar", "read_concatenated_archives", "1");
  const auto check = [&](int status) {
    // A header with a wrong checksum is ARCHIVE_RETRY.
    if (status < ARCHIVE_WARN || status == ARCHIVE_RETRY) {
      const char* message = archive_error_string(reader.get());
      fail(where, ": got an archive that cannot be read (", printable(message == nullptr ? "no reason" : message),
           "), expected an uncompressed .tar.");
    }
  };
  check(archive_read_open_filename(reader.get(), archive.c_str(), kTarReadSize));
  // libarchive tells where a header starts, and content ends where the next header starts.
  std::optional<TarMember> member;
  const auto finish = [&](std::uint64_t end) {
    if (!member) return;
    const std::uint64_t padded = (member->size + kTarBlock - 1) / kTarBlock * kTarBlock;
    if (end > file_size || padded > end || end - padded < member->offset + kTarBlock)
      fail(where, ": got an archive that is truncated at ", printable(member->name), ", expected a complete one.");
    member->offset = end - padded;
    found(*member);
    member.reset();
  };
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status != ARCHIVE_EOF) check(status);
    const std::int64_t position = archive_read_header_position(reader.get());
    finish(static_cast<std::uint64_t>(position));
    // The position is that after the last content, where the zeros of the end mark start.
    if (status == ARCHIVE_EOF) return static_cast<std::uint64_t>(position) < file_size;
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr ||
        archive_entry_sparse_count(entry) > 0 || archive_entry_size(entry) < 0)
      continue;
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    if (size > file_size)
      fail(where, ": got a file of ", counted(size, "byte"), " in it, expected at most its own ",
           with_commas(file_size), ".");
    member = TarMember{name, static_cast<std::uint64_t>(position), size};
  }
}

}  // namespace lorikeet
