// A small HTTP server on 127.0.0.1, run by a separate thread for the lifetime of the object. One request per
// connection.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

struct HttpRequest {
  std::string method;
  std::string path;
  std::string head;  // in lower case

  /// The value of a header, in lower case; "" where there is none.
  std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }

  /// The first byte asked for by "Range: bytes=N-".
  std::optional<std::size_t> range_from() const {
    const std::size_t at = head.find("\r\nrange: bytes=");
    if (at == std::string::npos) return std::nullopt;
    return std::stoul(head.substr(at + std::string_view("\r\nrange: bytes=").size()));
  }
};

inline std::string http_answer(const std::string& status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         headers + "\r\n" + body;
}

/// The file, or what "Range" asks for of it.
inline std::string http_file(const HttpRequest& request, const std::string& content) {
  const auto from = request.range_from();
  if (!from) return http_answer("200 OK", content);
  const std::string size = std::to_string(content.size());
  if (*from >= content.size())
    return http_answer("416 Range Not Satisfiable", "", "Content-Range: bytes */" + size + "\r\n");
  return http_answer(
      "206 Partial Content", content.substr(*from),
      "Content-Range: bytes " + std::to_string(*from) + "-" + std::to_string(content.size() - 1) + "/" + size + "\r\n");
}

class HttpServer {
 public:
  /// `answer` gives all the bytes to send; it is called in the server's thread.
  explicit HttpServer(std::function<std::string(const HttpRequest&)> answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(listener_, SHUT_RDWR);  // ends accept
    thread_.join();
    ::close(listener_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      converse(connection);
      ::close(connection);
    }
  }

  void converse(int connection) {
    std::string head;
    char block[4096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::recv(connection, block, sizeof(block), 0);
      if (got <= 0) return;
      head.append(block, static_cast<std::size_t>(got));
    }
    HttpRequest request;
    const std::size_t from = head.find(' ') + 1;
    request.method = head.substr(0, from - 1);
    request.path = head.substr(from, head.find(' ', from) - from);
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.head = head;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const std::string bytes = answer_(request);
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t put = ::send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (put <= 0) return;
      sent += static_cast<std::size_t>(put);
    }
    ::shutdown(connection, SHUT_WR);
    while (::recv(connection, block, sizeof(block), 0) > 0) {
    }  // until the client has read it all
  }

  std::function<std::string(const HttpRequest&)> answer_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};
