#include "io/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "io/gzip.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

constexpr std::uint64_t kMemberLimit = 1 << 20;

struct Entry {
  std::string name;
  std::string content;
  std::string link_to = std::string();  // a symbolic link instead
};

enum class Kind { kTarGz, kTarXz, kZip, kStoredZip, kAr };

std::string pack(Kind kind, const std::vector<Entry>& entries) {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "packed").string();
  struct archive* out = archive_write_new();
  if (kind == Kind::kTarGz) archive_write_add_filter_gzip(out);
  if (kind == Kind::kTarXz) archive_write_add_filter_xz(out);
  if (kind == Kind::kTarGz || kind == Kind::kTarXz) archive_write_set_format_pax_restricted(out);
  if (kind == Kind::kZip || kind == Kind::kStoredZip) archive_write_set_format_zip(out);
  if (kind == Kind::kStoredZip) archive_write_zip_set_compression_store(out);
  if (kind == Kind::kAr) archive_write_set_format_ar_svr4(out);
  REQUIRE(archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
  for (const Entry& e : entries) {
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.name.c_str());
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_filetype(entry, e.link_to.empty() ? AE_IFREG : AE_IFLNK);
    if (!e.link_to.empty()) archive_entry_set_symlink(entry, e.link_to.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(e.content.size()));
    REQUIRE(archive_write_header(out, entry) == ARCHIVE_OK);
    if (!e.content.empty()) REQUIRE(archive_write_data(out, e.content.data(), e.content.size()) >= 0);
    archive_entry_free(entry);
  }
  REQUIRE(archive_write_close(out) == ARCHIVE_OK);
  archive_write_free(out);
  return read_file(path, 1 << 28);
}

std::string pack_deb(const std::vector<Entry>& entries) {
  return pack(Kind::kAr, {{"debian-binary", "2.0\n"},
                          {"control.tar.gz", pack(Kind::kTarGz, {{"./control", "Package: x\n"}})},
                          {"data.tar.xz", pack(Kind::kTarXz, entries)}});
}

std::string extract(const std::string& packed, const std::string& member, std::uint64_t limit = kMemberLimit) {
  const TemporaryFolder folder;
  put(folder.path / "x.archive", packed);
  extract_member(folder.path / "x.archive", member, folder.path / "out" / "file", limit);
  return read_file(folder.path / "out" / "file", kMemberLimit);
}

bool archive_refused(const std::string& packed, const std::string& member, const std::string& because,
                     std::uint64_t limit = kMemberLimit) {
  const TemporaryFolder folder;
  put(folder.path / "x.archive", packed);
  std::string message;
  try {
    extract_member(folder.path / "x.archive", member, folder.path / "file", limit);
  } catch (const Error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CAPTURE(because);
  CHECK(message.find("x.archive") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  const auto left =
      std::distance(std::filesystem::directory_iterator(folder.path), std::filesystem::directory_iterator());
  CHECK(left == 1);  // nothing but the archive
  return message.find(because) != std::string::npos;
}

const std::string kLong(300'000, 'x');
const std::vector<Entry> kEntries{
    {"package/readme.md", "hello"}, {"package/data/images", kLong}, {"package/data/empty", ""}};

}  // namespace

TEST_CASE("a member is taken out of tar, zip and deb archives") {
  for (const auto kind : {Kind::kTarGz, Kind::kTarXz, Kind::kZip, Kind::kStoredZip}) {
    const std::string packed = pack(kind, kEntries);
    CHECK(extract(packed, "package/data/images") == kLong);
    CHECK(extract(packed, "./package/readme.md") == "hello");
    CHECK(extract(packed, "package/data/empty").empty());
  }
  const std::string deb = pack_deb({{"./usr/share/images.gz", kLong}, {"./usr/share/other", "y"}});
  CHECK(extract(deb, "usr/share/images.gz") == kLong);
  CHECK(extract(deb, "./usr/share/other") == "y");
  CHECK(extract(deb, "debian-binary") == "2.0\n");
}

TEST_CASE("a member that is absent, a link or too large is refused, and nothing is left") {
  for (const auto kind : {Kind::kTarGz, Kind::kZip}) {
    const std::string packed = pack(kind, kEntries);
    CHECK(archive_refused(packed, "package/data/image", "Did you mean 'package/data/images'?"));
    CHECK(archive_refused(packed, "images", "no 'images'"));
    CHECK(archive_refused(packed, "package/data/images", "more than 1000 B", 1000));
  }
  CHECK(extract(pack(Kind::kTarGz, kEntries), "package/readme.md", 5) == "hello");
  CHECK(archive_refused(pack(Kind::kTarGz, {{"a", "", "/etc/passwd"}}), "a", "link"));
  CHECK(archive_refused(pack_deb({{"./a", "b"}}), "c", "no 'c'"));
  CHECK(archive_refused(pack_deb({{"./a", kLong}}), "a", "more than 10 B", 10));
}

TEST_CASE("paths in an archive lead nowhere") {
  const TemporaryFolder folder;
  put(folder.path / "x.archive",
      pack(Kind::kTarGz, {{"../escaped", "a"}, {"/tmp/lorikeet-escaped", "b"}, {"good", "c"}}));
  extract_member(folder.path / "x.archive", "good", folder.path / "in" / "file", kMemberLimit);
  CHECK(read_file(folder.path / "in" / "file", 10) == "c");
  CHECK_FALSE(std::filesystem::exists(folder.path / "escaped"));
  CHECK_FALSE(std::filesystem::exists("/tmp/lorikeet-escaped"));
}

TEST_CASE("broken archives are refused") {
  CHECK(archive_refused("", "a", "cannot be read"));
  CHECK(archive_refused("<html>404</html>", "a", "cannot be read"));
  CHECK_THROWS_AS(extract_member("/nonexistent/x", "a", "/tmp/never", kMemberLimit), Error);

  std::string stored = pack(Kind::kStoredZip, {{"a", "hello, hello, hello"}});
  const auto at = stored.find("hello");
  REQUIRE(at != std::string::npos);
  stored[at] = 'j';
  CHECK(archive_refused(stored, "a", "CRC"));

  const std::string text = "some text that is not too long, 0123456789";
  for (const auto& packed : {pack(Kind::kTarGz, {{"a", text}}), pack(Kind::kTarXz, {{"a", text}}),
                             pack(Kind::kZip, {{"a", text}}), pack_deb({{"./a", text}})}) {
    for (std::size_t size = 0; size < packed.size(); size += 3) {
      CAPTURE(size);
      std::string got = text;
      try {
        got = extract(packed.substr(0, size), "a");  // the cut may lie after the member
      } catch (const Error&) {
      }
      CHECK(got == text);
    }
    for (std::size_t i = 0; i < packed.size(); i += 5) {
      std::string changed = packed;
      changed[i] = static_cast<char>(changed[i] ^ 0x41);
      try {
        extract(changed, "a");
      } catch (const Error&) {
      }
    }
  }
}

namespace {

// What it unpacks to, or the message of the Error if it is refused, which must leave no file.
std::string unpacked(const std::string& packed, std::uint64_t limit = kMemberLimit) {
  const TemporaryFolder folder;
  put(folder.path / "x.gz", packed);
  try {
    gunzip(folder.path / "x.gz", folder.path / "out" / "x", limit);
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with((folder.path / "x.gz").string() + ": got "));
    CHECK(message.find('\n') == std::string::npos);
    CHECK((!std::filesystem::exists(folder.path / "out") || std::filesystem::is_empty(folder.path / "out")));
    return message;
  }
  return read_file(folder.path / "out" / "x", kMemberLimit);
}

}  // namespace

TEST_CASE("gzip files are unpacked") {
  for (const std::string& content : {std::string("hello"), std::string(), kLong}) {
    CHECK(unpacked(gzip(content)) == content);
    CHECK(unpacked(gzip(content), content.size()) == content);
  }
  CHECK(unpacked(gzip("one ") + gzip("two")) == "one two");  // members follow one another
}

TEST_CASE("what is no gzip file, is cut off, changed or too large is refused") {
  for (const std::string other : {"", "x", "<html>404</html>"})
    CHECK(unpacked(other).find("expected a gzip file") != std::string::npos);
  CHECK(unpacked(gzip(kLong), kLong.size() - 1).find("after decompression") != std::string::npos);
  const std::string packed = gzip("some text that is not too long, 0123456789");
  for (std::size_t size = 0; size < packed.size(); ++size) {
    CAPTURE(size);
    CHECK(unpacked(packed.substr(0, size)).find(": got ") != std::string::npos);
  }
  std::string changed = packed;
  changed[changed.size() - 6] = static_cast<char>(changed[changed.size() - 6] ^ 1);  // in the checksum
  CHECK(unpacked(changed).find("broken gzip") != std::string::npos);
  CHECK_THROWS_AS(gunzip("/nonexistent/x.gz", "/tmp/never", kMemberLimit), Error);
  CHECK_THROWS_AS(gunzip("/tmp", "/tmp/never", kMemberLimit), Error);
}
