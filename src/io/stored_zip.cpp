#include "io/stored_zip.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint64_t kLocalHeaderSize = 30;
constexpr std::uint64_t kDirectoryEntrySize = 46;
constexpr std::uint64_t kEndSize = 22;
constexpr std::uint64_t kEnd64Size = 56;
constexpr std::uint64_t kLocatorSize = 20;
constexpr std::uint64_t kMaxComment = 0xffff;
constexpr std::uint64_t kMaxDirectory = 64ULL << 20;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint32_t kInZip64 = 0xffffffff;  // "the real number is in the zip64 extra field"

std::string read_text(const InputFile& file, std::uint64_t offset, std::uint64_t size) {
  std::string out(static_cast<std::size_t>(size), '\0');
  file.read(offset, std::as_writable_bytes(std::span(out)));
  return out;
}

template <typename T>
T at(std::string_view bytes, std::size_t offset) {
  return load_le<T>(bytes.data() + offset);
}

struct Directory {
  std::uint64_t offset;
  std::uint64_t size;
  std::uint64_t entries;
};

[[noreturn]] void fail_broken(const InputFile& file, const char* what) {
  fail(file.path().string(), ": got a zip archive ", what,
       ", expected one as torch.save writes it. The file is truncated or broken.");
}

Directory find_directory(const InputFile& file) {
  const std::uint64_t tail_size = std::min(file.size(), kEndSize + kMaxComment);
  const std::string tail = read_text(file, file.size() - tail_size, tail_size);
  std::optional<std::size_t> found;
  for (std::size_t i = tail.size() >= kEndSize ? tail.size() - kEndSize + 1 : 0; i > 0 && !found; --i) {
    // The comment must end exactly at the end of the file, so that a signature inside the comment is not mistaken for
    // the record.
    if (at<std::uint32_t>(tail, i - 1) == kEnd &&
        i - 1 + kEndSize + at<std::uint16_t>(tail, i - 1 + 20) == tail.size()) {
      found = i - 1;
    }
  }
  if (!found) fail_broken(file, "without a directory at its end");

  std::uint64_t end = file.size() - tail_size + *found;
  const std::string_view record = std::string_view(tail).substr(*found, kEndSize);
  if (at<std::uint16_t>(record, 4) != 0 || at<std::uint16_t>(record, 6) != 0) fail_broken(file, "in several parts");
  Directory directory{at<std::uint32_t>(record, 16), at<std::uint32_t>(record, 12), at<std::uint16_t>(record, 10)};

  if (end >= kLocatorSize) {
    const std::string locator = read_text(file, end - kLocatorSize, kLocatorSize);
    if (at<std::uint32_t>(locator, 0) == kEnd64Locator) {
      const std::uint64_t limit = end - kLocatorSize;
      end = at<std::uint64_t>(locator, 8);
      if (end > limit || limit - end < kEnd64Size) fail_broken(file, "whose zip64 record lies outside the file");
      const std::string record64 = read_text(file, end, kEnd64Size);
      if (at<std::uint32_t>(record64, 0) != kEnd64) fail_broken(file, "without its zip64 record");
      directory = {at<std::uint64_t>(record64, 48), at<std::uint64_t>(record64, 40), at<std::uint64_t>(record64, 32)};
    }
  }
  if (directory.offset > end || directory.size != end - directory.offset) {
    fail_broken(file, "whose directory is not where its end says");
  }
  if (directory.size > kMaxDirectory || directory.entries > directory.size / kDirectoryEntrySize) {
    fail_broken(file, "whose directory has an impossible size");
  }
  return directory;
}

struct Entry {
  std::string name;
  std::uint64_t size;
  std::uint64_t header;  // offset of its local header
};

// Replaces the numbers that do not fit 32 bits by those of the zip64 extra field, which contains exactly these, in this
// order.
void apply_zip64(const InputFile& file, std::string_view extra, Entry& entry, std::uint64_t& compressed) {
  while (extra.size() >= 4) {
    const auto kind = at<std::uint16_t>(extra, 0);
    const auto size = at<std::uint16_t>(extra, 2);
    if (size > extra.size() - 4) break;
    std::string_view field = extra.substr(4, size);
    extra.remove_prefix(4U + size);
    if (kind != kZip64Extra) continue;
    for (std::uint64_t* number : {&entry.size, &compressed, &entry.header}) {
      if (*number != kInZip64) continue;
      if (field.size() < sizeof(std::uint64_t)) fail_broken(file, "with a zip64 field that is too short");
      *number = at<std::uint64_t>(field, 0);
      field.remove_prefix(sizeof(std::uint64_t));
    }
    return;
  }
}

std::vector<Entry> read_entries(const InputFile& file, const Directory& directory) {
  const std::string bytes = read_text(file, directory.offset, directory.size);
  std::string_view rest = bytes;
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (rest.size() < kDirectoryEntrySize || at<std::uint32_t>(rest, 0) != kDirectoryEntry) {
      fail_broken(file, "with a broken directory");
    }
    const auto flags = at<std::uint16_t>(rest, 8);
    const auto method = at<std::uint16_t>(rest, 10);
    std::uint64_t compressed = at<std::uint32_t>(rest, 20);
    const std::size_t name_size = at<std::uint16_t>(rest, 28);
    const std::size_t extra_size = at<std::uint16_t>(rest, 30);
    const std::size_t entry_size = kDirectoryEntrySize + name_size + extra_size + at<std::uint16_t>(rest, 32);
    if (entry_size > rest.size()) fail_broken(file, "with a broken directory");
    Entry entry{std::string(rest.substr(kDirectoryEntrySize, name_size)), at<std::uint32_t>(rest, 24),
                at<std::uint32_t>(rest, 42)};
    apply_zip64(file, rest.substr(kDirectoryEntrySize + name_size, extra_size), entry, compressed);
    rest.remove_prefix(entry_size);

    const std::string where = cat(file.path().string(), ": member '", printable(entry.name), "'");
    if (method != 0 || (flags & 1) != 0) {
      fail(where, ": got it ", method != 0 ? "compressed" : "encrypted",
           ", expected it stored as torch.save does. This is another kind of zip archive, or a file that was packed "
           "again.");
    }
    if (compressed != entry.size)
      fail(where, ": got ", counted(compressed, "byte"), " stored for ", with_commas(entry.size),
           ", expected the same.");
    if (!names.insert(entry.name).second) fail(where, ": got the member twice, expected each member once.");
    entries.push_back(std::move(entry));
  }
  if (!rest.empty()) fail_broken(file, "with more entries in its directory than declared");
  return entries;
}

// Returns the start of a member's data. The local header repeats the name, and has its own length.
std::uint64_t data_offset(const InputFile& file, const Entry& entry, std::uint64_t limit) {
  const std::string where = cat(file.path().string(), ": member '", printable(entry.name), "'");
  if (entry.header > limit || limit - entry.header < kLocalHeaderSize + entry.name.size()) {
    fail(where, ": got an offset of ", entry.header, ", expected one before the directory. The file is broken.");
  }
  const std::string header = read_text(file, entry.header, kLocalHeaderSize + entry.name.size());
  if (at<std::uint32_t>(header, 0) != kLocalHeader || at<std::uint16_t>(header, 8) != 0 ||
      at<std::uint16_t>(header, 26) != entry.name.size() ||
      std::string_view(header).substr(kLocalHeaderSize) != entry.name) {
    fail(where, ": got a header that does not agree with the directory. The file is broken.");
  }
  const std::uint64_t begin = entry.header + header.size() + at<std::uint16_t>(header, 28);
  if (begin > limit || entry.size > limit - begin) {
    fail(where, ": got a size of ", counted(entry.size, "byte"),
         ", expected it to end before the directory. The file is truncated or broken.");
  }
  return begin;
}

}  // namespace

std::vector<ZipMember> read_stored_zip(const InputFile& file) {
  const Directory directory = find_directory(file);
  const std::vector<Entry> entries = read_entries(file, directory);

  std::vector<ZipMember> members;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;  // from the local header to the end of the data
  for (const Entry& entry : entries) {
    const std::uint64_t begin = data_offset(file, entry, directory.offset);
    members.push_back({entry.name, begin, entry.size});
    extents.emplace_back(entry.header, begin + entry.size);
  }
  // Without overlaps, all members together are no larger than the file.
  std::sort(extents.begin(), extents.end());
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) fail_broken(file, "whose members overlap");
  }
  return members;
}

}  // namespace lorikeet
