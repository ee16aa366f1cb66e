// The boundary of the public interface: it throws lorikeet::Error, or what the caller's callback threw.
#pragma once

#include <exception>
#include <functional>
#include <string_view>
#include <utility>

namespace lorikeet {

/// Carries what a callback threw through the library to the caller. Not derived from any type that the library
/// catches.
struct CallbackException {
  std::exception_ptr thrown;
};

/// For use within a catch block. Throws the exception being handled as lorikeet::Error with a message of one line,
/// which `doing` begins where the message would not say; lorikeet::Error as it is, but for control characters, which
/// are escaped; what a callback threw, unchanged.
[[noreturn]] void rethrow_as_error(std::string_view doing);

/// The result of `body`, the whole of a public function. `doing` is the function's name.
template <typename Body>
auto at_boundary(std::string_view doing, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    rethrow_as_error(doing);
  }
}

/// `callback` with its exceptions marked as the caller's own.
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
