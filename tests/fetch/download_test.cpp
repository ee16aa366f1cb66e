#include "fetch/download.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"
#include "fetch/environment.h"
#include "fetch/http_server.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLimit = 1 << 22;

std::string some_bytes(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += static_cast<char>(i * i % 251);
  return out;
}

const std::string kContent = some_bytes(300'000);

std::string sum_of(const std::string& content) {
  Sha256 hash;
  hash.update(content.data(), content.size());
  return hash.hex();
}

// A folder to download into, on a machine without proxies or mirrors.
struct Place {
  TemporaryFolder folder;
  fs::path file = folder.path / "deep" / "weights.bin";
  fs::path part = file.string() + ".part";
  ScopedEnvironment no_proxy{"no_proxy", "127.0.0.1"};
  ScopedEnvironment no_mirror{"LORIKEET_MIRROR", ""};

  Download request(const std::string& url, const std::string& sha256 = "") const {
    return {.urls = {url}, .sha256 = sha256, .destination = file, .limit = kLimit};
  }
  void put_part(const std::string& content) const {
    fs::create_directories(part.parent_path());
    put(part, content);
  }
  std::string got() const { return read_file(file, kLimit); }
  bool is_clean() const { return !fs::exists(part) && !fs::exists(file); }
};

std::string refusal(const Download& request) {
  return ::refusal<Error>([&] { download(request); });
}

std::string serve_content(const HttpRequest& request) { return http_file(request, kContent); }

}  // namespace

TEST_CASE("a file is downloaded, checked and put in place") {
  const Place place;
  const HttpServer server(serve_content);
  for (const std::string& sum : {sum_of(kContent), sum_of(kContent).substr(0, 8), std::string()}) {
    download(place.request(server.url("/weights.bin"), sum));
    CHECK(place.got() == kContent);
    CHECK_FALSE(fs::exists(place.part));
    fs::remove(place.file);
  }
  CHECK(server.requests().size() == 3);
  CHECK_FALSE(server.requests()[0].range_from().has_value());
}

TEST_CASE("an empty file and one of unknown length are downloaded") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    return request.path == "/empty" ? http_answer("200 OK", "") : "HTTP/1.0 200 OK\r\n\r\n" + kContent;
  });
  download(place.request(server.url("/empty"), sum_of("")));
  CHECK(place.got().empty());
  place.put_part("old");
  download(place.request(server.url("/empty"), sum_of("")));
  CHECK(place.got().empty());
  download(place.request(server.url("/until-the-end"), sum_of(kContent)));
  CHECK(place.got() == kContent);
}

TEST_CASE("a download goes on where an earlier one stopped") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    if (request.path != "/cut") return serve_content(request);
    const std::string whole = http_file(request, kContent);
    return whole.substr(0, whole.size() - 100'000);
  });
  const std::string message = refusal(place.request(server.url("/cut"), sum_of(kContent)));
  CHECK(message == has("weights.bin: cannot be downloaded: http://127.0.0.1:"));
  CHECK(fs::file_size(place.part) == 200'000);
  CHECK_FALSE(fs::exists(place.file));

  std::uint64_t least = kLimit;
  std::uint64_t most = 0;
  Download request = place.request(server.url("/whole"), sum_of(kContent));
  request.progress = [&](const DownloadProgress& progress) {
    CHECK(progress.file == "weights.bin");
    least = std::min(least, progress.done);
    most = std::max(most, progress.done);
    if (progress.total != 0) CHECK(progress.total == kContent.size());
  };
  download(request);
  CHECK(place.got() == kContent);
  CHECK(server.requests().back().range_from() == 200'000);
  CHECK(least >= 200'000);
  CHECK(most == kContent.size());
}

TEST_CASE("a download begins anew where it cannot go on") {
  const Place place;
  SUBCASE("the server knows no ranges") {
    place.put_part(kContent.substr(0, 1000));
    const HttpServer server([](const HttpRequest&) { return http_answer("200 OK", kContent); });
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 1);
  }
  SUBCASE("the server gives another range") {
    place.put_part(kContent.substr(0, 1000));
    const HttpServer server([](const HttpRequest& request) {
      if (!request.range_from()) return serve_content(request);
      return http_answer("206 Partial Content", kContent.substr(500), "Content-Range: bytes 500-299999/300000\r\n");
    });
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 2);
  }
  SUBCASE("there is more than the server has") {
    place.put_part(kContent + "more");
    const HttpServer server(serve_content);
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 2);
  }
  SUBCASE("there is more than the limit") {
    place.put_part(std::string(kLimit + 1, 'x'));
    const HttpServer server(serve_content);
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 1);
  }
  SUBCASE("what is there is of another file") {
    place.put_part("something else");
    const HttpServer server(serve_content);
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 2);
  }
  SUBCASE("it is all there") {
    place.put_part(kContent);
    const HttpServer server(serve_content);
    download(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(server.requests().size() == 1);
  }
  CHECK(place.got() == kContent);
  CHECK_FALSE(fs::exists(place.part));
}

TEST_CASE("a wrong checksum is refused, and nothing is left") {
  const Place place;
  const HttpServer server(serve_content);
  const std::string other(64, '0');
  const std::string message = refusal(place.request(server.url("/weights.bin"), other));
  CHECK(message == has("got a file with SHA-256 " + sum_of(kContent) + ", expected " + other));
  CHECK(server.requests().size() == 1);
  CHECK(refusal(place.request(server.url("/weights.bin"), "00000000")) == has("expected 00000000"));
  CHECK(place.is_clean());
  put(place.file, "old");
  refusal(place.request(server.url("/weights.bin"), other));
  CHECK(place.got() == "old");
}

TEST_CASE("a file larger than the limit is refused") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    return request.path == "/announced" ? http_answer("200 OK", kContent) : "HTTP/1.0 200 OK\r\n\r\n" + kContent;
  });
  for (const std::string path : {"/announced", "/not-announced"}) {
    Download request = place.request(server.url(path));
    request.limit = kContent.size() - 1;
    CHECK(refusal(request) == has("expected at most 293.0 KiB"));
    CHECK(place.is_clean());
    request.limit = kContent.size();
    download(request);
    CHECK(place.got() == kContent);
    fs::remove(place.file);
  }
}

TEST_CASE("an address that fails is followed by the next one, and the message names each") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    if (request.path == "/whole") return serve_content(request);
    return request.path == "/nothing" ? http_answer("204 No Content", "")
                                      : http_answer("404 Not Found", "<html>no</html>");
  });
  Download request = place.request(server.url("/absent"), sum_of(kContent));
  request.urls.push_back(server.url("/nothing"));
  request.hint = "Check the network.";
  const std::string message = refusal(request);
  CHECK(message == "weights.bin: cannot be downloaded: " + server.url("/absent") + ": HTTP 404; " +
                       server.url("/nothing") + ": HTTP 204. Check the network.");
  CHECK(place.is_clean());
  request.urls.push_back(server.url("/whole"));
  download(request);
  CHECK(place.got() == kContent);
}

TEST_CASE("without a checksum two addresses are not mixed") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    if (request.path == "/b") return serve_content(request);
    return http_answer("200 OK", std::string(5000, 'a')).substr(0, 3000);
  });
  Download request = place.request(server.url("/a"));
  request.urls.push_back(server.url("/b"));
  download(request);
  CHECK(place.got() == kContent);
}

TEST_CASE("redirects are followed, but only to http and https, and not for ever") {
  const Place place;
  put(place.folder.path / "secret", "secret");
  const std::string secret = "file://" + (place.folder.path / "secret").string();
  const HttpServer server([&](const HttpRequest& request) {
    if (request.path == "/whole") return serve_content(request);
    const std::string to = request.path == "/moved" ? "/whole" : request.path == "/loop" ? "/loop" : secret;
    return http_answer("302 Found", "moved", request.path == "/lost" ? "" : "Location: " + to + "\r\n");
  });
  download(place.request(server.url("/moved"), sum_of(kContent)));
  CHECK(place.got() == kContent);
  fs::remove(place.file);
  CHECK(refusal(place.request(server.url("/to-file"))) == has("rotocol"));
  CHECK(refusal(place.request(secret)) == has("rotocol"));
  CHECK(refusal(place.request(server.url("/loop"))) == has("redirects"));
  CHECK(refusal(place.request(server.url("/lost"))) == has("HTTP 302"));
  CHECK(place.is_clean());
}

TEST_CASE("a refused connection gives the reason and the hint") {
  const Place place;
  std::string url;
  {
    const HttpServer server(serve_content);
    url = server.url("/x");  // of a port that nobody listens on any more
  }
  Download request = place.request(url);
  request.hint = "Pass a file with --weights.";
  const std::string message = refusal(request);
  CHECK(message == has(url + ": "));
  CHECK(message == has("connect"));
  CHECK(message.ends_with(". Pass a file with --weights."));
  CHECK(place.is_clean());
}

TEST_CASE("a mirror is tried first") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    return request.path.ends_with("/a.pth") ? serve_content(request) : http_answer("404 Not Found", "");
  });
  Download request = place.request("http://127.0.0.1:1/models/a.pth?download=true", sum_of(kContent));
  for (const std::string base : {"/mirror", "/mirror//"}) {
    const ScopedEnvironment mirror("LORIKEET_MIRROR", server.url(base));
    download(request);
    CHECK(place.got() == kContent);
    CHECK(server.requests().back().path == "/mirror/a.pth");
    fs::remove(place.file);
  }
  const ScopedEnvironment mirror("LORIKEET_MIRROR", server.url("/mirror"));
  request.urls = {server.url("/other/b.pth"), server.url("/real/a.pth")};
  download(request);
  CHECK(server.requests().back().path == "/real/a.pth");
  CHECK(place.got() == kContent);
}

TEST_CASE("a mirror's password is not shown") {
  const Place place;
  const HttpServer server([](const HttpRequest&) { return http_answer("404 Not Found", ""); });
  const std::string with_password = "http://me:secret@" + server.url("").substr(std::string_view("http://").size());
  const ScopedEnvironment mirror("LORIKEET_MIRROR", with_password);
  const std::string message = refusal(place.request(server.url("/a")));
  CHECK(message == has(server.url("/a") + ": HTTP 404; " + server.url("/a") + ": HTTP 404."));
  CHECK_FALSE(message == has("secret"));
}

TEST_CASE("a callback that throws aborts, and what arrived is kept") {
  const Place place;
  const HttpServer server(serve_content);
  Download request = place.request(server.url("/x"), sum_of(kContent));
  request.urls.push_back(server.url("/never"));
  request.progress = [](const DownloadProgress& progress) {
    if (progress.done > 0) throw std::runtime_error("stop");
  };
  CHECK_THROWS_WITH_AS(download(request), "stop", std::runtime_error);
  CHECK(fs::file_size(place.part) > 0);
  CHECK_FALSE(fs::exists(place.file));
  request.progress = [](const DownloadProgress&) { throw std::runtime_error("at once"); };
  CHECK_THROWS_WITH_AS(download(request), "at once", std::runtime_error);
  request.progress = {};
  download(request);
  CHECK(place.got() == kContent);
  for (const auto& r : server.requests()) CHECK(r.path == "/x");
}

TEST_CASE("a full disk and an impossible folder give one line") {
  const Place place;
  const HttpServer server(serve_content);
  {
    struct Limit {  // of a file's size, which fails as a full disk does
      Limit() {
        getrlimit(RLIMIT_FSIZE, &before);
        handler = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit lower{100'000, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &lower);
      }
      ~Limit() {
        setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
      }
      rlimit before{};
      void (*handler)(int) = SIG_DFL;
    } const limit;
    const std::string message = refusal(place.request(server.url("/x"), sum_of(kContent)));
    CHECK(message == has(place.part.string() + ": cannot be written: File too large."));
  }
  CHECK(fs::file_size(place.part) == 100'000);
  download(place.request(server.url("/x"), sum_of(kContent)));
  CHECK(place.got() == kContent);

  Download request = place.request(server.url("/x"));
  request.destination = place.file / "below-a-file";
  CHECK(refusal(request) == has("cannot be created"));
}

TEST_CASE("two that fetch the same file do not disturb each other") {
  const Place place;
  const HttpServer server([](const HttpRequest& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return serve_content(request);
  });
  std::atomic<int> waits = 0;
  std::atomic<int> failures = 0;
  const auto fetch = [&] {
    Download request = place.request(server.url("/x"), sum_of(kContent));
    request.progress = [&](const DownloadProgress&) { ++waits; };
    try {
      download(request);
    } catch (const std::exception&) {
      ++failures;
    }
  };
  std::thread other(fetch);
  fetch();
  other.join();
  CHECK(failures == 0);
  CHECK(waits > 0);
  CHECK(server.requests().size() == 1);
  CHECK(place.got() == kContent);
  CHECK_FALSE(fs::exists(place.part));
}
