#include "models/class_labels.h"

#include <doctest/doctest.h>

#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;
using Labels = std::vector<std::string>;

TEST_CASE("labels of transformers") {
  const auto labels = [](const char* text) { return transformers_labels(ConfigValues(parse_json(text, "test"))); };
  const auto wrong = [&](const char* text) { return refusal([&] { labels(text); }); };
  CHECK(labels(R"({"id2label": {"1": "cat", "0": "dog", "2": 7}})") == Labels{"dog", "cat", "7"});
  CHECK(labels("{}") == Labels{"LABEL_0", "LABEL_1"});
  CHECK(labels(R"({"num_labels": 3, "id2label": null})").size() == 3);
  CHECK(wrong(R"({"id2label": {"0": "a", "2": "b"}})") ==
        has("id2label: got the key '2', expected each number from 0 to 1 once"));
  CHECK(wrong(R"({"id2label": {"0": "a", "00": "b"}})") == has("id2label: got the key '00'"));
  CHECK(wrong(R"({"id2label": {"a": "a"}})") == has("id2label: got the key 'a'"));
  CHECK(wrong(R"({"id2label": []})") == has("id2label: got"));
  CHECK(wrong(R"({"num_labels": -1})") == has("num_labels: got -1"));
}

TEST_CASE("labels of timm") {
  const auto labels = [](const char* text) { return timm_labels(ConfigValues(parse_json(text, "test"))); };
  CHECK(labels(R"({"label_names": ["a", "b"]})") == Labels{"a", "b"});
  CHECK(labels(R"({"label_names": {"1": "b", "0": "a"}, "label_descriptions": {"a": "an ant"}})") ==
        Labels{"an ant", "b"});
  CHECK(labels("{}").empty());
  CHECK(refusal([&] { labels(R"({"label_names": "a"})"); }) == has("label_names: got"));
}
