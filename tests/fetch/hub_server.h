// A server that answers as the Hub does: HEAD and GET of /ORG/NAME/resolve/REVISION/FILE with the commit, the ETag and
// the size in headers, errors with X-Error-Code, and large files on another host.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "fetch/http_server.h"

inline std::string sha256_of(const std::string& content) {
  lorikeet::Sha256 hash;
  hash.update(content.data(), content.size());
  return hash.hex();
}

struct HubContent {
  std::string content;
  bool is_large = false;  // in LFS: its ETag is the SHA-256, and it lies on the other host
};

class HubServer {
 public:
  static constexpr const char* kRepository = "/org/net";

  std::string commit = std::string(40, 'c');
  std::string branch = "main";
  std::map<std::string, HubContent> files;
  /// Where set, only requests with it are answered.
  std::string token;
  /// Answered, in turn, in the place of what the Hub or the other host would answer next.
  std::vector<std::string> next_answers;
  std::vector<std::string> next_storage_answers;

  std::string endpoint() const { return hub_.url(""); }
  std::vector<HttpRequest> hub_requests() const { return hub_.requests(); }
  std::vector<HttpRequest> storage_requests() const { return storage_.requests(); }
  /// "HEAD main/config.json" … of the Hub, and "GET " + SHA-256 of the other host.
  std::vector<std::string> requests() const {
    std::vector<std::string> out;
    const std::string prefix = std::string(kRepository) + "/resolve/";
    for (const auto& request : hub_.requests()) {
      const bool is_ours = request.path.starts_with(prefix);
      out.push_back(request.method + " " + (is_ours ? request.path.substr(prefix.size()) : request.path));
    }
    for (const auto& request : storage_.requests()) out.push_back(request.method + " " + request.path.substr(1, 64));
    return out;
  }

  static std::string error(const std::string& status, const std::string& code, const std::string& message,
                           const std::string& headers = "") {
    return http_answer(status, "", "X-Error-Code: " + code + "\r\nX-Error-Message: " + message + "\r\n" + headers);
  }

 private:
  static std::string take(std::vector<std::string>& answers) {
    std::string out = answers.front();
    answers.erase(answers.begin());
    return out;
  }
  static std::string without_body(const HttpRequest& request, std::string answer) {
    if (request.method == "HEAD") answer.erase(answer.find("\r\n\r\n") + 4);
    return answer;
  }

  std::string answer(const HttpRequest& request) {
    if (!next_answers.empty()) return without_body(request, take(next_answers));
    return without_body(request, file_answer(request));
  }

  std::string file_answer(const HttpRequest& request) {
    if (request.path.starts_with("/old/net/")) {  // renamed
      return http_answer("307 Temporary Redirect", "",
                         "Location: " + std::string(kRepository) + request.path.substr(8) + "\r\n");
    }
    const std::string prefix = std::string(kRepository) + "/resolve/";
    if (!token.empty() && request.header("authorization") != "bearer " + token)
      return error("401 Unauthorized", "RepoNotFound", "Repository not found");
    if (!request.path.starts_with(prefix)) return error("404 Not Found", "RepoNotFound", "Repository not found");
    const std::string rest = request.path.substr(prefix.size());
    const std::string revision = rest.substr(0, rest.find('/'));
    const std::string name = rest.substr(rest.find('/') + 1);
    if (revision != branch && revision != commit)
      return error("404 Not Found", "RevisionNotFound", "Invalid rev id: " + revision);
    const std::string headers = "X-Repo-Commit: " + commit + "\r\n";
    const auto found = files.find(name);
    if (found == files.end()) return error("404 Not Found", "EntryNotFound", "Entry not found", headers);
    const std::string& content = found->second.content;
    const std::string sum = sha256_of(content);
    if (!found->second.is_large) {
      return http_answer("200 OK", content, headers + "ETag: \"" + sum.substr(0, 40) + "\"\r\n");
    }
    return http_answer("302 Found", "Found. Redirecting",
                       headers + "X-Linked-Etag: \"" + sum + "\"\r\nX-Linked-Size: " + std::to_string(content.size()) +
                           "\r\nLocation: " + storage_.url("/" + sum + "?signature=secret") + "\r\n");
  }

  std::string storage_answer(const HttpRequest& request) {
    if (!next_storage_answers.empty()) return take(next_storage_answers);
    for (const auto& [name, file] : files) {
      if (request.path.starts_with("/" + sha256_of(file.content))) return http_file(request, file.content);
    }
    return http_answer("404 Not Found", "");
  }

  HttpServer storage_{[this](const HttpRequest& request) { return storage_answer(request); }};
  HttpServer hub_{[this](const HttpRequest& request) { return answer(request); }};
};
