#include "search/folder.h"

#include <algorithm>
#include <limits>

#include "base/compute.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxFile = 16 << 20;
constexpr int kVersion = 2;
constexpr const char* kPlan = "search.json";

template <typename Enum>
Enum choice(const Json& json, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), json.get<std::string>());
  if (found == names.end()) fail("got ", printable(json.get<std::string>()), ", expected one of ", join(names, ", "));
  return static_cast<Enum>(found - names.begin());
}

// The content of a file as `read` understands it; nothing if there is no file.
template <typename Read>
auto read_json(const fs::path& path, const Read& read) -> std::optional<decltype(read(Json()))> {
  std::error_code missing;
  if (!fs::exists(path, missing)) return std::nullopt;
  const Json json = parse_json(read_file(path, kMaxFile), path.string());
  try {
    return read(json);
  } catch (const Json::exception& error) {
    fail(path.string(), ": got a damaged file (", printable(error.what()), "), expected one that a search wrote.");
  } catch (const UsageError& error) {  // another version
    fail(path.string(), ": ", error.what());
  } catch (const Error& error) {
    fail(path.string(), ": got a damaged file (", error.what(), "), expected one that a search wrote.");
  }
}

// json.get would round fractions and wrap numbers that do not fit.
std::int64_t integer(const Json& json, std::int64_t least,
                     std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
  if (!json.is_number_integer() || json < least || json > most)
    fail("got ", printable(json_text(json)), ", expected an integer from ", least, " to ", most);
  return json;
}

double real(const Json& json, double most = std::numeric_limits<double>::max()) {
  if (!json.is_number() || !(json.get<double>() >= 0 && json.get<double>() <= most))
    fail("got ", printable(json_text(json)), ", expected a number from 0 to ", most);
  return json;
}

void write_json(const fs::path& path, const Json& json) { write_file(path, json_text(json, 1) + "\n"); }

Json candidate_json(const Candidate& candidate) {
  Json settings = Json::object();
  for (const auto& [key, value] : candidate.settings) settings[key] = value;
  return {{"method", candidate.method},
          {"places", candidate.places},
          {"settings", settings},
          {"parameters", candidate.parameters},
          {"gradient", candidate.gradient}};
}

Candidate parse_candidate(const Json& json) {
  Candidate out{.method = json.at("method"), .places = json.at("places"), .settings = {}};
  for (const auto& [key, value] : json.at("settings").items()) out.settings.emplace_back(key, value);
  out.parameters = integer(json.at("parameters"), 1);
  out.gradient = real(json.at("gradient"));
  return out;
}

std::string numbered(std::size_t number) {
  std::string out = std::to_string(number + 1);
  return out.size() < 4 ? std::string(4 - out.size(), '0') + out : out;
}

struct Claimed {};  // by another process

}  // namespace

const std::vector<std::string>& search_cost_names() {
  static const std::vector<std::string> kNames{"bytes", "parameters", "seconds"};
  return kNames;
}

SearchFolder::SearchFolder(const fs::path& path) : path_(without_trailing_slash(path)) {
  std::error_code error;
  if (fs::exists(path_, error) && !fs::is_directory(path_, error))
    fail_usage(printable(path_.string()), ": got a file, expected the folder of a search, or none.");
  for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (fs::exists(path_ / kPlan)) break;
    if (name == "search.lock" || name.starts_with(std::string(".") + kPlan)) continue;
    fail_usage(printable(path_.string()), ": got a folder with other files (", printable(name),
               "), expected that of a search, or a new one. Name another with --out.");
  }
}

void SearchFolder::discard() const {
  std::error_code ignored;
  fs::remove(path_ / "search.lock", ignored);
  fs::remove(path_, ignored);  // unless it has other files
}

fs::path SearchFolder::trial(std::size_t number) const { return path_ / "trials" / numbered(number); }

fs::path SearchFolder::adapter_file(std::size_t number, std::size_t stage) const {
  return trial(number) / cat("stage-", stage + 1, ".lorikeet");
}

FileLock SearchFolder::lock(const std::function<void()>& waiting) const { return {path_ / "search.lock", waiting}; }

std::unique_ptr<FileLock> SearchFolder::claim(std::size_t number) const {
  try {
    return std::make_unique<FileLock>(trial(number) / "claim.lock", [] { throw Claimed{}; });
  } catch (const Claimed&) {
    return nullptr;
  }
}

std::optional<SearchPlan> SearchFolder::plan() const {
  return read_json(path_ / kPlan, [&](const Json& json) {
    if (json.at("version") != kVersion)
      fail_usage("got version ", json_text(json.at("version")), ", expected ", kVersion, ", that of this Lorikeet.");
    SearchPlan out;
    out.recipe = json.at("recipe");
    out.request = json.at("request");
    out.target = real(json.at("target"), 1);
    out.minimise = choice<SearchCost>(json.at("minimise"), search_cost_names());
    for (const Json& steps : json.at("stages"))
      out.stages.push_back(integer(steps, out.stages.empty() ? 1 : out.stages.back() + 1));
    for (const Json& name : json.at("precisions"))
      out.precisions.push_back(choice<FilePrecision>(name, file_precision_names()));
    for (const Json& candidate : json.at("candidates")) out.candidates.push_back(parse_candidate(candidate));
    out.speed = {real(json.at("step_seconds")), real(json.at("image_seconds"))};
    out.notes = json.at("notes").get<std::vector<std::string>>();
    if (out.stages.empty() || out.precisions.empty() || out.candidates.empty())
      fail("got no stages, precisions or candidates, expected some");
    return out;
  });
}

void SearchFolder::write_plan(const SearchPlan& plan) const {
  Json precisions = Json::array(), candidates = Json::array();
  for (const FilePrecision precision : plan.precisions) precisions.push_back(name_of(precision));
  for (const Candidate& candidate : plan.candidates) candidates.push_back(candidate_json(candidate));
  write_json(path_ / kPlan, {{"version", kVersion},
                             {"target", plan.target},
                             {"minimise", search_cost_names()[static_cast<std::size_t>(plan.minimise)]},
                             {"stages", plan.stages},
                             {"precisions", precisions},
                             {"candidates", candidates},
                             {"step_seconds", plan.speed.step},
                             {"image_seconds", plan.speed.image},
                             {"notes", plan.notes},
                             {"recipe", plan.recipe},
                             {"request", plan.request}});
}

TrialResult SearchFolder::result(std::size_t number) const {
  const auto read = [](const Json& json) {
    TrialResult out;
    out.error = json.at("error");
    for (const Json& stage : json.at("stages")) {
      StageResult of{.steps = integer(stage.at("steps"), 1),
                     .seconds = real(stage.at("seconds")),
                     .images = integer(stage.at("images"), 1),
                     .forms = {}};
      for (const Json& form : stage.at("forms")) {
        of.forms.push_back({choice<FilePrecision>(form.at("precision"), file_precision_names()),
                            static_cast<std::uint64_t>(integer(form.at("bytes"), 1)),
                            integer(form.at("correct"), 0, of.images)});
      }
      if (of.forms.empty()) fail("got a stage without measurements, expected some");
      out.stages.push_back(std::move(of));
    }
    return out;
  };
  return read_json(trial(number) / "result.json", read).value_or(TrialResult{});
}

void SearchFolder::write_result(std::size_t number, const TrialResult& result) const {
  Json stages = Json::array();
  for (const StageResult& stage : result.stages) {
    Json forms = Json::array();
    for (const MeasuredForm& form : stage.forms)
      forms.push_back({{"precision", name_of(form.precision)}, {"bytes", form.bytes}, {"correct", form.correct}});
    stages.push_back({{"steps", stage.steps}, {"seconds", stage.seconds}, {"images", stage.images}, {"forms", forms}});
  }
  write_json(trial(number) / "result.json", {{"stages", stages}, {"error", result.error}});
}

std::optional<std::vector<std::size_t>> SearchFolder::promoted(std::size_t stage, std::size_t candidates) const {
  return read_json(path_ / cat("promoted-", stage + 1, ".json"), [&](const Json& json) {
    std::vector<std::size_t> out;
    if (!json.is_array() || json.empty()) fail("got ", json_kind(json), " without trials, expected a list of some");
    for (const Json& item : json) {
      out.push_back(static_cast<std::size_t>(integer(item, 0, static_cast<std::int64_t>(candidates) - 1)));
      if (std::count(out.begin(), out.end(), out.back()) > 1)
        fail("got trial ", out.back(), " twice, expected it once");
    }
    return out;
  });
}

void SearchFolder::write_promoted(std::size_t stage, const std::vector<std::size_t>& trials) const {
  write_json(path_ / cat("promoted-", stage + 1, ".json"), Json(trials));
}

}  // namespace lorikeet
