#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "data/datasets.h"
#include "kernels/machine.h"
#include "lorikeet/version.h"
#include "models/models.h"
#include "models/weights.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct Finding {
  std::string what;
  std::string found;
  bool good = true;
};

constexpr std::uintmax_t kSpaceNeeded = 1ULL << 30;

Finding home_finding() {
  const fs::path home = home_folder();
  try {
    std::error_code ignored;
    fs::create_directories(home, ignored);
    const fs::path probe = home / ".doctor";
    write_file(probe, "");
    fs::remove(probe);
  } catch (const Error& error) {
    return {"home", error.what(), false};
  }
  const auto space = fs::space(home).available;
  return {
      "home",
      cat(home.string(), ", ", human_bytes(space), " free", space < kSpaceNeeded ? ", expected at least 1 GiB" : ""),
      space >= kSpaceNeeded};
}

std::vector<Finding> examine() {
  std::vector<Finding> out;
  out.push_back({"lorikeet", version()});
  out.push_back({"libtorch", libtorch_version()});
  const Machine machine = examine_machine();
  out.push_back({"processor", cat(counted(machine.hardware_threads, "hardware thread"), ", ", machine.threads,
                                  " used, ATen kernels for ", machine.kernels)});
  out.push_back({"oneDNN", machine.onednn ? "yes" : "no: convolutions will be slow", machine.onednn});
  out.push_back({"bfloat16",
                 machine.bfloat16 ? "native: used by precision=auto" : "emulated, slow: precision=auto uses float32"});
  out.push_back({"int8", machine.int8 ? "native (VNNI), 8-bit weights: precision=int8 is fastest"
                                      : "without VNNI, 7-bit weights: precision=int8 gains less"});
  out.push_back({"CUDA", machine.cuda ? "yes: device=cuda can be used" : "no: device=cpu only"});
  out.push_back(home_finding());
  std::vector<std::string> here;
  for (const auto& model : models()) {
    for (const auto& weights : model.weights) {
      if (fs::exists(weights_path(weights))) here.push_back(weights.name);
    }
  }
  out.push_back({"weights", here.empty() ? "none yet; 'lorikeet models get NAME' downloads them" : join(here, ", ")});
  here.clear();
  for (const auto& dataset : datasets()) {
    if (has_dataset(dataset)) here.push_back(dataset.name);
  }
  out.push_back({"data", here.empty() ? "none yet; 'lorikeet data get NAME' downloads them" : join(here, ", ")});
  return out;
}

int doctor_command(bool json) {
  bool good = true;
  Json out = Json::array();
  for (const auto& [what, found, is_good] : examine()) {
    good = good && is_good;
    out.push_back({{"what", what}, {"found", found}, {"good", is_good}});
    if (!json) std::printf("%s %-10s %s\n", is_good ? "ok " : "BAD", what.c_str(), found.c_str());
  }
  if (json) std::printf("%s\n", json_text(out, 2).c_str());
  return good ? 0 : kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
  auto* command =
      app.add_subcommand("doctor", "Check the capabilities of this machine, and whether anything is missing");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print one JSON array on standard output");
  command->callback([json, &status] { status = doctor_command(*json); });
}

}  // namespace lorikeet::cli
