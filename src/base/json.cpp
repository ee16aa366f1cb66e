#include "base/json.h"

#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// Builds the document during parsing, so that rejected input is never built. Appends to objects without ordered_map's
// linear search for an equal key, which would take hours for the keys in a few megabytes.
class StrictBuilder : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(const std::string& where, std::size_t max_depth) : where_(where), max_depth_(max_depth) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = std::move(name);
    if (!open_.back().keys.insert(key_).second) {
      fail(where_, ": got the key '", printable(key_), "' twice in one JSON object, expected each key once.");
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string what = error.what();
    what = what.substr(what.find(']') == std::string::npos ? 0 : what.find(']') + 2);
    fail(where_, ": got broken JSON at byte ", position, " (", printable(what, 200), "), expected a JSON document.");
  }

 private:
  struct Open {
    Json* value;  // stays valid: only the innermost open value grows
    std::set<std::string> keys;
  };

  Json& place(Json value) {
    if (++values_ > kMaxJsonValues)
      fail(where_, ": got JSON of more than ", kMaxJsonValues, " values, expected fewer.");
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back().value;
    if (parent.is_array()) return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    return parent.get_ref<Json::object_t&>().emplace_back(std::move(key_), std::move(value)).second;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json::value_t kind) {
    if (open_.size() >= max_depth_)
      fail(where_, ": got JSON nested deeper than ", max_depth_, " levels, expected fewer.");
    Json& value = place(kind);
    open_.push_back({&value, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  std::size_t max_depth_;
  std::size_t values_ = 0;
  Json root_;
  std::string key_;
  std::vector<Open> open_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, std::size_t max_depth) {
  StrictBuilder builder(where, max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
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
