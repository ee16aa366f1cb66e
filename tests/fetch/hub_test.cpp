#include "fetch/hub.h"

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>

#include "base/file.h"
#include "fetch/environment.h"
#include "fetch/hub_server.h"
#include "fetch/hub_settings.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

const std::string kCommit(40, 'c');

// A machine whose Hub is the server, with an empty cache.
struct HubMachine {
  HubServer server;
  TemporaryFolder folder;
  fs::path cache = folder.path / "hub";
  fs::path repository = cache / "models--org--net";
  ScopedEnvironment no_proxy{"no_proxy", "127.0.0.1"};
  ScopedEnvironment endpoint{"HF_ENDPOINT", server.endpoint() + "/"};
  ScopedEnvironment home{"HF_HOME", folder.path.string()};
  ScopedEnvironment hub_cache{"HF_HUB_CACHE", ""};
  ScopedEnvironment old_cache{"HUGGINGFACE_HUB_CACHE", ""};
  ScopedEnvironment token{"HF_TOKEN", ""};
  ScopedEnvironment old_token{"HUGGING_FACE_HUB_TOKEN", ""};
  ScopedEnvironment offline{"HF_HUB_OFFLINE", ""};
  ScopedEnvironment mirror{"LORIKEET_MIRROR", "http://127.0.0.1:1"};  // not for the Hub

  HubMachine() {
    server.files["config.json"] = {R"({"a": 1})"};
    server.files["model.safetensors"] = {std::string(200'000, 'w') + "end", true};
    server.files["deep/file.txt"] = {"deep"};
  }

  fs::path snapshot(const std::string& file) const { return repository / "snapshots" / kCommit / file; }
  std::string weights_sum() const { return sha256_of(server.files.at("model.safetensors").content); }
};

std::string hub_refusal(const HubName& name, const std::string& file = "config.json") {
  return ::refusal<Error>([&] { HubRepository(name).find(file); });
}

std::vector<std::string> strings(std::initializer_list<std::string> list) { return list; }

}  // namespace

TEST_CASE("files of the Hub are downloaded into its client's layout, and only once") {
  const HubMachine machine;
  HubRepository repository({"org/net"});
  CHECK(repository.commit().empty());
  CHECK(repository.find("config.json") == machine.snapshot("config.json"));
  CHECK(repository.commit() == kCommit);
  CHECK(repository.find("model.safetensors") == machine.snapshot("model.safetensors"));
  CHECK(repository.find("deep/file.txt") == machine.snapshot("deep/file.txt"));
  CHECK(repository.snapshot() == machine.snapshot("").parent_path());

  const std::string sum = machine.weights_sum();
  CHECK(fs::read_symlink(machine.snapshot("model.safetensors")) == "../../blobs/" + sum);
  const std::string etag = sha256_of("deep").substr(0, 40);
  CHECK(fs::read_symlink(machine.snapshot("deep/file.txt")) == "../../../blobs/" + etag);
  CHECK(read_file(machine.snapshot("config.json"), 100) == R"({"a": 1})");
  CHECK(sha256_of(read_file(machine.snapshot("model.safetensors"), 1 << 20)) == sum);
  CHECK(read_file(machine.repository / "refs/main", 100) == kCommit);
  CHECK(fs::exists(machine.cache / ".locks/models--org--net" / (sum + ".lock")));
  CHECK(fs::exists(machine.cache / "CACHEDIR.TAG"));
  // The first file asks for the branch, the others for the commit that it is at.
  CHECK(machine.server.requests() ==
        strings({"HEAD main/config.json", "GET main/config.json", "HEAD " + kCommit + "/model.safetensors",
                 "HEAD " + kCommit + "/deep/file.txt", "GET " + kCommit + "/deep/file.txt", "GET " + sum}));

  HubRepository again({"org/net"});
  CHECK(again.find("config.json") == machine.snapshot("config.json"));
  CHECK(again.find("model.safetensors") == machine.snapshot("model.safetensors"));
  CHECK(machine.server.requests().size() == 7);  // where the branch is now, and nothing else
  HubRepository pinned({"org/net", kCommit});
  CHECK(pinned.find("config.json") == machine.snapshot("config.json"));
  CHECK(machine.server.requests().size() == 7);
}

TEST_CASE("a branch that has moved gives the new files, and shares those that are the same") {
  HubMachine machine;
  const auto both = [] {
    HubRepository repository({"org/net"});
    repository.find("config.json");
    return *repository.find("model.safetensors");
  };
  both();
  machine.server.commit = std::string(40, 'd');
  machine.server.files["config.json"].content = "{}";
  const fs::path path = both();
  CHECK(path == machine.repository / "snapshots" / std::string(40, 'd') / "model.safetensors");
  CHECK(fs::equivalent(path, machine.snapshot("model.safetensors")));
  CHECK(machine.server.storage_requests().size() == 1);
  CHECK(read_file(path.parent_path() / "config.json", 100) == "{}");
  CHECK(read_file(machine.snapshot("config.json"), 100) == R"({"a": 1})");
  CHECK(read_file(machine.repository / "refs/main", 100) == std::string(40, 'd'));
}

TEST_CASE("a file that the repository lacks is remembered as missing") {
  const HubMachine machine;
  HubRepository repository({"org/net"});
  CHECK_FALSE(repository.find("absent.json").has_value());
  CHECK(repository.commit() == kCommit);
  CHECK(fs::exists(machine.repository / ".no_exist" / kCommit / "absent.json"));
  CHECK(read_file(machine.repository / "refs/main", 100) == kCommit);
  CHECK_FALSE(repository.find("absent.json").has_value());
  CHECK(machine.server.requests() == strings({"HEAD main/absent.json"}));
}

TEST_CASE("a mirror that gives no reason for a missing file is understood once the repository is known") {
  HubMachine machine;
  machine.server.next_answers = {http_answer("404 Not Found", "")};
  CHECK(hub_refusal({"org/net"}) == has("got HTTP 404"));
  HubRepository repository({"org/net"});
  CHECK(repository.find("config.json").has_value());
  machine.server.next_answers = {http_answer("404 Not Found", "")};
  CHECK_FALSE(repository.find("absent.json").has_value());
}

TEST_CASE("the token is sent to the Hub and to no other host") {
  HubMachine machine;
  machine.server.token = "hf_abc";
  CHECK(hub_refusal({"org/net"}) == has("org/net: got HTTP 401 from http://127.0.0.1:"));
  CHECK(hub_refusal({"org/net"}) == has("(Repository not found), expected a repository of that name. If it is private "
                                        "or gated, set HF_TOKEN to a token that may read it."));
  SUBCASE("from the environment") {
    const ScopedEnvironment token("HF_TOKEN", "hf_abc");
    CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
  }
  SUBCASE("from the file") {
    put(machine.folder.path / "token", "hf_abc\n");
    CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
  }
  REQUIRE(machine.server.storage_requests().size() == 1);
  CHECK(machine.server.storage_requests()[0].header("authorization").empty());
  CHECK(machine.server.hub_requests().back().header("authorization") == "bearer hf_abc");
  {
    const ScopedEnvironment token("HF_TOKEN", "hf_other");
    const std::string message = hub_refusal({"org/net"});
    CHECK(message == has("the token of HF_TOKEN must be one that may read it"));
    CHECK_FALSE(message == has("hf_other"));
    const ScopedEnvironment none("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    CHECK(hub_token().empty());
  }
  const ScopedEnvironment token("HF_TOKEN", "a\r b");
  CHECK(hub_refusal({"org/net"}) == has("HF_TOKEN: got a token with spaces or control characters"));
}

TEST_CASE("a redirect of a small file's content to another host does not carry the token") {
  HubMachine machine;
  const ScopedEnvironment token("HF_TOKEN", "hf_abc");
  const HttpServer other([](const HttpRequest&) { return http_answer("200 OK", R"({"a": 1})"); });
  machine.server.next_answers = {
      http_answer("200 OK", R"({"a": 1})", "X-Repo-Commit: " + kCommit + "\r\nETag: \"abc\"\r\n"),
      http_answer("302 Found", "", "Location: " + other.url("/there") + "\r\n")};
  CHECK(HubRepository({"org/net"}).find("config.json").has_value());
  REQUIRE(other.requests().size() == 1);
  CHECK(other.requests()[0].header("authorization").empty());
  CHECK(machine.server.hub_requests()[1].header("authorization") == "bearer hf_abc");
}

TEST_CASE("a renamed repository is followed") {
  const HubMachine machine;
  HubRepository repository({"old/net"});
  CHECK(repository.find("config.json").has_value());
  CHECK(machine.server.requests() ==
        strings({"HEAD /old/net/resolve/main/config.json", "HEAD main/config.json", "GET main/config.json"}));
  CHECK(fs::exists(machine.cache / "models--old--net/refs/main"));
}

TEST_CASE("revisions") {
  HubMachine machine;
  machine.server.branch = "refs%2Fpr%2F1";
  HubRepository repository({"org/net", "refs/pr/1"});
  CHECK(repository.find("config.json").has_value());
  CHECK(read_file(machine.repository / "refs/refs/pr/1", 100) == kCommit);
  CHECK(hub_refusal({"org/net", "nowhere"}) ==
        "org/net: got the revision 'nowhere', which the repository does not have, expected a branch, a tag or a commit "
        "of it.");
  for (const std::string wrong : {"", "..", "a/../b", "/a", "a//b", "a\nb"}) {
    CAPTURE(wrong);
    CHECK(::refusal<UsageError>([&] { HubRepository({"org/net", wrong}); }) == has("org/net: got the revision"));
  }
}

TEST_CASE("what the Hub refuses is one clear line") {
  HubMachine machine;
  auto& next = machine.server.next_answers;
  next = {HubServer::error("403 Forbidden", "GatedRepo", "Access to model org/net is restricted")};
  CHECK(hub_refusal({"org/net"}) ==
        "org/net: access to this gated repository is not granted (Access to model org/net is restricted). Accept its "
        "conditions on its page of the Hub, and set HF_TOKEN to your token.");
  next = {HubServer::error("403 Forbidden", "", "Not allowed")};
  CHECK(hub_refusal({"org/net"}) == has("org/net: got HTTP 403 (forbidden) (Not allowed), expected access."));
  next = {HubServer::error("401 Unauthorized", "", "Invalid credentials in Authorization header")};
  CHECK(hub_refusal({"org/net"}) == has("org/net: the Hub refuses the token of HF_TOKEN"));
  CHECK(hub_refusal({"org/absent"}) == has("org/absent: got HTTP 404 from http://127.0.0.1:"));
  next = {http_answer("200 OK", "a page")};
  CHECK(hub_refusal({"org/net"}) == has("org/net: got no X-Repo-Commit in the answer of http://127.0.0.1:"));
  next = {http_answer("429 Too Many Requests", "", "Retry-After: 1000\r\n")};
  CHECK(hub_refusal({"org/net"}) ==
        "org/net: got HTTP 429 (too many requests). Try again in 1,000 seconds; with HF_TOKEN set the Hub "
        "allows more.");
  next = {http_answer("302 Found", "", "Location: file:///etc/passwd\r\nX-Repo-Commit: c\r\nETag: \"abc\"\r\n")};
  CHECK(hub_refusal({"org/net"}) != "no error");
  next.assign(21, http_answer("302 Found", "", "Location: /again\r\n"));
  CHECK(hub_refusal({"org/net"}) == has("more than 20 redirects"));
  CHECK_FALSE(fs::exists(machine.repository / "blobs"));
}

TEST_CASE("names that a server chooses stay inside the cache") {
  HubMachine machine;
  auto& next = machine.server.next_answers;
  for (const std::string etag : {"../../evil", "/evil", ".evil", "a\\b", ""}) {
    CAPTURE(etag);
    next = {http_answer("200 OK", "x", "X-Repo-Commit: " + kCommit + "\r\nETag: \"" + etag + "\"\r\n")};
    CHECK(hub_refusal({"org/net"}) == has("got the ETag '"));
  }
  for (const std::string commit : {"../../evil", "..", "/evil"}) {
    CAPTURE(commit);
    next = {http_answer("200 OK", "x", "X-Repo-Commit: " + commit + "\r\nETag: \"abc\"\r\n")};
    CHECK(hub_refusal({"org/net"}) == has("got no X-Repo-Commit"));
  }
  for (const std::string file : {"../x", "/x", "a/../../x", "", "a//b", "a\\b", "a/"}) {
    CAPTURE(file);
    CHECK(hub_refusal({"org/net"}, file) == has("got the file name '"));
  }
  for (const std::string name : {"org/../net", "../net", "org/net/x", "org--x/net", "org/net.git", "-o/net", ""}) {
    CAPTURE(name);
    CHECK(::refusal<UsageError>([&] { HubRepository({name}); }) == has("the Hub: got the repository '"));
  }
}

TEST_CASE("a large file is resumed, checked by its SHA-256, and its size") {
  HubMachine machine;
  const std::string content = machine.server.files["model.safetensors"].content;
  const std::string sum = machine.weights_sum();
  const fs::path part = machine.repository / "blobs" / (sum + ".incomplete");
  SUBCASE("after an earlier attempt") {
    fs::create_directories(part.parent_path());
    put(part, content.substr(0, 1000));
    CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
    CHECK(machine.server.storage_requests().at(0).range_from() == 1000);
  }
  SUBCASE("after a connection that breaks off") {
    const std::string whole = http_answer("200 OK", content);
    machine.server.next_storage_answers = {whole.substr(0, whole.size() - 50'000)};
    CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
    CHECK(machine.server.storage_requests().at(1).range_from() == content.size() - 50'000);
  }
  SUBCASE("after an answer that passes") {
    machine.server.next_storage_answers = {http_answer("503 Service Unavailable", "", "Retry-After: 0\r\n")};
    CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
    CHECK(machine.server.storage_requests().size() == 2);
  }
  SUBCASE("wrong content") {
    machine.server.next_storage_answers = {http_answer("200 OK", std::string(content.size(), 'x'))};
    const std::string message = hub_refusal({"org/net"}, "model.safetensors");
    CHECK(message == has("org/net/model.safetensors: cannot be downloaded: http://127.0.0.1:"));
    CHECK(message == has("got a file with SHA-256 "));
    CHECK_FALSE(message == has("secret"));
    CHECK_FALSE(fs::exists(machine.snapshot("model.safetensors")));
  }
  SUBCASE("more than was announced") {
    machine.server.next_storage_answers = {http_answer("200 OK", content + "more")};
    CHECK(hub_refusal({"org/net"}, "model.safetensors") == has("got a file of 200,007 bytes, expected 200,003"));
  }
  CHECK_FALSE(fs::exists(part));
  CHECK(HubRepository({"org/net"}).find("model.safetensors").has_value());
  CHECK(sha256_of(read_file(machine.snapshot("model.safetensors"), 1 << 20)) == sum);
}

TEST_CASE("too many requests are made again after the time that the Hub asks for") {
  HubMachine machine;
  machine.server.next_answers = {http_answer("429 Too Many Requests", "", "Retry-After: 1\r\n"),
                                 http_answer("429 Too Many Requests", "", "RateLimit: \"api\";r=0;t=0\r\n")};
  int waits = 0;
  const auto begin = std::chrono::steady_clock::now();
  HubRepository repository({"org/net"}, [&](const DownloadProgress&) { ++waits; });
  CHECK(repository.find("config.json").has_value());
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::seconds(2));
  CHECK(waits >= 5);
  machine.server.next_answers = {http_answer("429 Too Many Requests", "", "Retry-After: 1\r\n")};
  HubRepository impatient({"org/net"}, [](const DownloadProgress&) { throw std::runtime_error("stop"); });
  CHECK_THROWS_WITH(impatient.find("deep/file.txt"), "stop");
}

TEST_CASE("without the Hub, what the cache has is used") {
  HubMachine machine;
  SUBCASE("nothing is there") {
    const ScopedEnvironment offline("HF_HUB_OFFLINE", "1");
    CHECK(hub_refusal({"org/net"}) == "org/net: got no snapshot of the revision 'main' in " + machine.cache.string() +
                                          ", and HF_HUB_OFFLINE is set. Download it first: lorikeet models get "
                                          "org/net");
    CHECK(machine.server.requests().empty());
  }
  SUBCASE("nothing is there, and nobody listens") {
    const ScopedEnvironment endpoint("HF_ENDPOINT", "http://127.0.0.1:1");
    CHECK(hub_refusal({"org/net"}) == has("org/net: the Hub cannot be reached: http://127.0.0.1:1/"));
  }
  HubRepository({"org/net"}).find("config.json");
  const std::size_t before = machine.server.requests().size();
  const auto check = [&](const std::string& reason) {
    HubRepository repository({"org/net"});
    CHECK(repository.find("config.json") == machine.snapshot("config.json"));
    CHECK(repository.commit() == kCommit);
    CHECK(repository.offline_reason() == has(reason));
    return repository.find("model.safetensors").has_value();
  };
  SUBCASE("HF_HUB_OFFLINE") {
    const ScopedEnvironment offline("HF_HUB_OFFLINE", "yes");
    CHECK_FALSE(check("HF_HUB_OFFLINE is set"));
    CHECK(machine.server.requests().size() == before);
  }
  SUBCASE("nobody listens") {
    const ScopedEnvironment endpoint("HF_ENDPOINT", "http://127.0.0.1:1");
    CHECK_FALSE(check("the Hub cannot be reached ("));
  }
  SUBCASE("the Hub is down") {
    machine.server.next_answers = {http_answer("503 Service Unavailable", "")};
    check("the Hub answers HTTP 503");
  }
  SUBCASE("it was deleted") {
    machine.server.next_answers = {HubServer::error("404 Not Found", "RepoNotFound", "Repository not found")};
    check("the Hub answers HTTP 404");
  }
}

TEST_CASE("without links the files themselves are in the snapshot") {
  const HubMachine machine;
  const ScopedEnvironment no_links("HF_HUB_DISABLE_SYMLINKS", "1");
  CHECK(HubRepository({"org/net"}).find("config.json") == machine.snapshot("config.json"));
  CHECK(fs::is_regular_file(fs::symlink_status(machine.snapshot("config.json"))));
  HubRepository again({"org/net"});
  CHECK(again.find("config.json").has_value());
  CHECK(machine.server.requests().size() == 3);
}

TEST_CASE("where the cache is") {
  const TemporaryFolder folder;
  const ScopedEnvironment user("HOME", folder.path.string());
  const ScopedEnvironment xdg("XDG_CACHE_HOME", "");
  const ScopedEnvironment home("HF_HOME", "");
  const ScopedEnvironment old("HUGGINGFACE_HUB_CACHE", "");
  const ScopedEnvironment cache("HF_HUB_CACHE", "");
  CHECK(hub_cache_folder() == folder.path / ".cache/huggingface/hub");
  const ScopedEnvironment with_xdg("XDG_CACHE_HOME", "/x");
  CHECK(hub_cache_folder() == "/x/huggingface/hub");
  const ScopedEnvironment with_home("HF_HOME", "~/h");
  CHECK(hub_cache_folder() == folder.path / "h/hub");
  const ScopedEnvironment with_old("HUGGINGFACE_HUB_CACHE", "/old");
  CHECK(hub_cache_folder() == "/old");
  const ScopedEnvironment scratch("LORIKEET_TEST_SCRATCH", "/s");
  const ScopedEnvironment with_cache("HF_HUB_CACHE", "${LORIKEET_TEST_SCRATCH}/a/$LORIKEET_TEST_SCRATCH/$NOT_SET_1/$");
  CHECK(hub_cache_folder() == "/s/a//s/$NOT_SET_1/$");
}

TEST_CASE("names of models of the Hub") {
  CHECK(parse_hub_name("google/vit-base-patch16-224")->repository == "google/vit-base-patch16-224");
  CHECK(parse_hub_name("google/vit-base-patch16-224")->revision == "main");
  CHECK(parse_hub_name("timm/resnet50.a1_in1k@v1")->repository == "timm/resnet50.a1_in1k");
  CHECK(parse_hub_name("timm/resnet50.a1_in1k@refs/pr/1")->revision == "refs/pr/1");
  for (const char* name : {"hf-hub:timm/resnet50.a1_in1k", "hf_hub:timm/resnet50.a1_in1k"})
    CHECK(parse_hub_name(name)->repository == "timm/resnet50.a1_in1k");
  CHECK(parse_hub_name("hf-hub:gpt2")->repository == "gpt2");
  for (const char* name : {"resnet50", "a/b/c", "./a", "/a/b", "../a", "a/", "runs/x y", "a/b@", "a/b@../c"})
    CHECK_FALSE(parse_hub_name(name).has_value());
}
