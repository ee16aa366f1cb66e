#include "search/folder.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

SearchPlan plan_of_two() {
  SearchPlan out;
  out.recipe = "data: mnist\n";
  out.request = "# head\ndata: mnist\n";
  out.target = 0.965;
  out.minimise = SearchCost::kParameters;
  out.stages = {30, 90};
  out.precisions = {FilePrecision::kInt8, FilePrecision::kInt4};
  out.candidates = {{.method = "LORA_XS",
                     .places = "half",
                     .settings = {{"peft_type", "LORA_XS"}, {"target_modules", "'(a|b)\\.c'"}},
                     .parameters = 350,
                     .gradient = 1.25e-7},
                    {.method = kHeadOnly, .places = "", .settings = {{"head", "new"}}, .parameters = 20490}};
  out.speed = {.step = 0.25, .image = 0.125};
  out.notes = {"left out X: y"};
  return out;
}

}  // namespace

TEST_CASE("a plan and results read back as they were written") {
  const TemporaryFolder temporary;
  const SearchFolder folder(temporary.path / "s/");
  CHECK_FALSE(folder.plan());
  CHECK(folder.result(0).stages.empty());
  CHECK_FALSE(folder.promoted(1, 2));

  const SearchPlan plan = plan_of_two();
  folder.write_plan(plan);
  const SearchPlan read = SearchFolder(temporary.path / "s").plan().value();
  CHECK(read.recipe == plan.recipe);
  CHECK(read.request == plan.request);
  CHECK(read.target == plan.target);
  CHECK((read.minimise == plan.minimise));
  CHECK(read.stages == plan.stages);
  CHECK((read.precisions == plan.precisions));
  CHECK(read.speed.step == 0.25);
  CHECK(read.speed.image == 0.125);
  CHECK(read.notes == plan.notes);
  REQUIRE(read.candidates.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(read.candidates[i].method == plan.candidates[i].method);
    CHECK(read.candidates[i].places == plan.candidates[i].places);
    CHECK(read.candidates[i].overrides() == plan.candidates[i].overrides());
    CHECK(read.candidates[i].parameters == plan.candidates[i].parameters);
    CHECK(read.candidates[i].gradient == plan.candidates[i].gradient);
  }

  { const auto claim = folder.claim(1); }
  folder.write_result(1,
                      {{{30, 1.5, 100, {{FilePrecision::kInt8, 812, 91}, {FilePrecision::kInt4, 500, 88}}}}, "lost"});
  const TrialResult result = folder.result(1);
  CHECK(result.error == "lost");
  REQUIRE(result.stages.size() == 1);
  CHECK(result.stages[0].steps == 30);
  CHECK(result.stages[0].seconds == 1.5);
  REQUIRE(result.stages[0].forms.size() == 2);
  CHECK((result.stages[0].forms[1].precision == FilePrecision::kInt4));
  CHECK(result.stages[0].forms[1].bytes == 500);
  CHECK(result.stages[0].forms[1].correct == 88);

  folder.write_promoted(1, {1, 0});
  CHECK((folder.promoted(1, 2) == std::vector<std::size_t>{1, 0}));
  CHECK(folder.trial(1).filename() == "0002");
  CHECK(folder.trial(12345).filename() == "12346");
}

TEST_CASE("a trial belongs to one process, until that ends") {
  const TemporaryFolder temporary;
  const SearchFolder folder(temporary.path / "s");
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto claim = folder.claim(0);
    const char byte = claim ? 'y' : 'n';
    [[maybe_unused]] const auto written = ::write(ready[1], &byte, 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(byte == 'y');
  CHECK_FALSE(folder.claim(0));
  CHECK(folder.claim(1));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(folder.claim(0));
}

TEST_CASE("other folders and damaged files are refused") {
  const TemporaryFolder temporary;
  write_file(temporary.path / "other/photo.jpg", "x");
  CHECK(refusal<UsageError>([&] { SearchFolder(temporary.path / "other"); }) ==
        has("got a folder with other files (photo.jpg)"));
  CHECK(refusal<UsageError>([&] { SearchFolder(temporary.path / "other/photo.jpg"); }) == has("got a file"));

  const SearchFolder folder(temporary.path / "s");
  folder.write_plan(plan_of_two());
  const std::string text = read_file(folder.path() / "search.json", 1 << 20);
  const auto damaged = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    write_file(folder.path() / "search.json", other);
  };
  damaged("\"version\": 2", "\"version\": 1");
  CHECK(refusal<Error>([&] { folder.plan(); }) == has("search.json: got version 1, expected 2"));
  damaged("\"parameters\",", "\"pearls\",");
  CHECK(refusal<Error>([&] { folder.plan(); }) ==
        has("search.json: got a damaged file (got pearls, expected one of bytes, parameters, seconds"));
  damaged("\"target\"", "\"targets\"");
  CHECK(refusal<Error>([&] { folder.plan(); }) == has("search.json: got a damaged file"));
  damaged("30,", "90,");
  CHECK(refusal<Error>([&] { folder.plan(); }) == has("got 90, expected an integer from 91"));
  damaged("0.965", "96.5");
  CHECK(refusal<Error>([&] { folder.plan(); }) == has("got 96.5, expected a number from 0 to 1"));

  for (const char* trials : {R"([1, "a"])", "[1.5]", "[]", "{}", "[0, 0]", "[2]", "[-1]", "[18446744073709551615]"}) {
    CAPTURE(trials);
    write_file(folder.path() / "promoted-2.json", trials);
    CHECK(refusal<Error>([&] { folder.promoted(1, 2); }) == has("promoted-2.json: got a damaged file"));
  }
  const auto result_of = [&](const std::string& steps, const std::string& seconds, const std::string& images,
                             const std::string& correct) {
    write_file(folder.trial(0) / "result.json",
               cat(R"({"error": "", "stages": [{"steps": )", steps, R"(, "seconds": )", seconds, R"(, "images": )",
                   images, R"(, "forms": [{"precision": "int8", "bytes": 9, "correct": )", correct, "}]}]}"));
    return folder.result(0).stages.front();
  };
  CHECK(result_of("30", "0.5", "100", "100").forms.front().correct == 100);
  using Strings = std::vector<std::string>;
  for (const Strings& of :
       {Strings{"0", "0.5", "100", "9"}, Strings{"1.5", "0.5", "100", "9"}, Strings{"30", "-1", "100", "9"},
        Strings{"30", "null", "100", "9"}, Strings{"30", "1e999", "100", "9"}, Strings{"30", "1", "0", "0"},
        Strings{"30", "1", "100", "101"}, Strings{"30", "1", "100", "-1"}, Strings{"30", "1", "100", "1e3"},
        Strings{"30", "1", "100", "true"}}) {
    CAPTURE(join(of, " "));
    CHECK(refusal<Error>([&] { result_of(of[0], of[1], of[2], of[3]); }) == has("result.json: "));
  }
}
