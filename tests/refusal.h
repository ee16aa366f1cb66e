// Returns the message of the Error that a call throws.
#pragma once

#include <doctest/doctest.h>

#include <ostream>
#include <string>

#include "lorikeet/error.h"

/// The message of the Error that `call` throws, checked to be one line; "no error" where it throws none. An Error of
/// another kind than `Kind` is not caught.
template <typename Kind = lorikeet::Error, typename Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Kind& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    return message;
  }
  return "no error";
}

/// `CHECK(text == has("part"))` shows the whole text where it fails.
struct Has {
  std::string part;
};
inline Has has(const std::string& part) { return {part}; }
inline bool operator==(const std::string& text, const Has& wanted) {
  return text.find(wanted.part) != std::string::npos;
}
inline std::ostream& operator<<(std::ostream& out, const Has& wanted) { return out << "…" << wanted.part << "…"; }
