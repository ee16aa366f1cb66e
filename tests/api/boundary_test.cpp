#include "api/boundary.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <new>
#include <stdexcept>

#include "base/error.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

template <typename Throw>
std::string translated(const Throw& thrower) {
  return refusal([&] { at_boundary("predict", [&] { thrower(); }); });
}

struct Own {
  int number;
};

}  // namespace

TEST_CASE("what leaves the library is an Error of one line") {
  CHECK(translated([] { TORCH_CHECK(false, "first\nsecond"); }) == "predict: internal error, please report it: first");
  CHECK(translated([] { at::ones({2}).view({3}); }) == has("predict: internal error, please report it: "));
  CHECK(translated([] { std::filesystem::directory_iterator("/nonexistent/x"); }) ==
        "/nonexistent/x: cannot be used: No such file or directory.");
  CHECK(translated([] { throw std::out_of_range("at\nxyz"); }) == "predict: internal error, please report it: at");
  CHECK(translated([] { throw 3; }) == "predict: internal error, please report it: an exception of an unknown type.");
}

TEST_CASE("out of memory names what was being done") {
  CHECK(translated([] { throw std::bad_alloc(); }) == has("predict: got not enough memory, expected more."));
#ifndef __SANITIZE_ADDRESS__  // which ends the process instead of failing the allocation
  CHECK(translated([] { at::empty({1ll << 52}); }) == has("predict: got not enough memory for another 16"));
#endif
}

TEST_CASE("an Error passes unchanged, with its type") {
  CHECK(refusal<UsageError>([] { at_boundary("x", [] { throw UsageError("top: got 0."); }); }) == "top: got 0.");
  CHECK(translated([] { throw Error("file: got 0."); }) == "file: got 0.");
}

TEST_CASE("control characters in the message of an Error are escaped, and it keeps its type") {
  CHECK(translated([] { throw Error("a\nb\x1b[31m.jpg: got 0."); }) == R"(a\x0ab\x1b[31m.jpg: got 0.)");
  CHECK(refusal<UsageError>([] { at_boundary("x", [] { throw UsageError("\xff: got 0."); }); }) == R"(\xff: got 0.)");
}

TEST_CASE("what a callback throws passes unchanged, whatever it is") {
  const std::function<void(int)> callback = guarded(std::function<void(int)>([](int n) { throw Own{n}; }));
  int caught = 0;
  try {
    at_boundary("load", [&] {
      try {
        callback(7);
      } catch (const std::exception&) {  // as code that tries another mirror would
        caught = -1;
      }
    });
  } catch (const Own& own) {
    caught = own.number;
  }
  CHECK(caught == 7);
  const auto throws_bad_alloc = guarded(std::function<void()>([] { throw std::bad_alloc(); }));
  CHECK_THROWS_AS(at_boundary("load", [&] { throws_bad_alloc(); }), std::bad_alloc);
  CHECK_FALSE(guarded(std::function<void()>()));
  CHECK(guarded(std::function<int(int)>([](int n) { return n + 1; }))(1) == 2);
}

TEST_CASE("at_boundary gives what its body gives") {
  int number = 1;
  CHECK(at_boundary("x", [] { return std::string("y"); }) == "y");
  at_boundary("x", [&]() -> int& { return number; }) = 5;
  CHECK(number == 5);
}
