#include "base/json.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// A first pass that builds nothing: nesting and duplicate keys are refused before a document tree exists.
struct StrictCheck : nlohmann::json_sax<Json> {
  StrictCheck(const std::string& where, std::size_t max_depth) : where_(where), max_depth_(max_depth) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return deeper(); }
  bool end_object() override { return shallower(); }
  bool start_array(std::size_t) override { return deeper(); }
  bool end_array() override { return shallower(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      fail(where_, ": got the key '", printable(name), "' twice in one JSON object, expected each key once.");
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string what = error.what();
    what = what.substr(what.find(']') == std::string::npos ? 0 : what.find(']') + 2);
    fail(where_, ": got broken JSON at byte ", position, " (", printable(what, 200), "), expected a JSON document.");
  }

 private:
  bool deeper() {
    if (keys_.size() >= max_depth_) fail(where_, ": got JSON nested deeper than ", max_depth_, " levels, expected less.");
    keys_.emplace_back();
    return true;
  }
  bool shallower() {
    keys_.pop_back();
    return true;
  }

  const std::string& where_;
  std::size_t max_depth_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, std::size_t max_depth) {
  StrictCheck check(where, max_depth);
  Json::sax_parse(text.begin(), text.end(), &check);
  return Json::parse(text.begin(), text.end());
}

std::string json_kind(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return "a string";
    case Json::value_t::boolean: return value.get<bool>() ? "true" : "false";
    default: return "the number " + value.dump();
  }
}

}  // namespace lorikeet
