// The boundary of the public interface: only lorikeet::Error and exceptions from the caller's callbacks leave it.
#pragma once

#include <exception>
#include <functional>
#include <string_view>
#include <utility>

namespace lorikeet {

/// Carries an exception from a callback through the library to the caller. The library never catches this type.
struct CallbackException {
  std::exception_ptr thrown;
};

/// To be called in a catch block. Rethrows the current exception: those from callbacks unchanged, lorikeet::Error with
/// control characters escaped, all others as lorikeet::Error with a one-line message that starts with `doing`.
[[noreturn]] void rethrow_as_error(std::string_view doing);

/// Returns `body()`, the complete body of a public function, whose name is `doing`.
template <typename Body>
auto at_boundary(std::string_view doing, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    rethrow_as_error(doing);
  }
}

/// Wraps `callback` so that its exceptions reach the caller unchanged.
template <typename Result, typename... Arguments>
std::function<Result(Arguments...)> guarded(std::function<Result(Arguments...)> callback) {
  if (!callback) return callback;
  return [callback = std::move(callback)](Arguments... arguments) -> Result {
    try {
      return callback(std::forward<Arguments>(arguments)...);
    } catch (...) {
      throw CallbackException{std::current_exception()};
    }
  };
}

}  // namespace lorikeet
