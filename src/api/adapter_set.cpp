#include "lorikeet/adapter_set.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "api/batches.h"
#include "api/boundary.h"
#include "api/compute.h"
#include "api/images.h"
#include "api/predictions.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/mixed_batch.h"
#include "engine/tensor_type.h"
#include "loading/inference.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::size_t kBatch = 64;

}  // namespace

struct AdapterSet::State {
  struct Entry {
    std::string name;
    LoadedModel loaded;
  };

  // Adapters that run together. Layers that are frozen in all of them run once per batch.
  struct Group {
    std::vector<std::size_t> entries;
    // Exactly one is set. Int8 runs merged weights, which adapters cannot share.
    std::optional<MixedBatch> mixed;
    std::unique_ptr<Executor> alone;

    std::vector<at::Tensor> predict(const at::Tensor& images, const std::vector<std::size_t>& which) {
      if (mixed) return mixed->predict(images, which);
      const at::Tensor logits = alone->predict(images);
      std::vector<at::Tensor> out;
      for (std::int64_t row = 0; row < logits.size(0); ++row) out.push_back(logits[row]);
      return out;
    }
  };

  BaseModel base;
  LoadOptions options;
  MovedTensors moved;                           // the base's, on the device of the options
  std::vector<std::unique_ptr<Entry>> entries;  // pointers, because groups refer to the networks
  std::vector<Group> groups;                    // of all entries; created on first use

  std::size_t find(const std::string& name) const {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i]->name == name) return i;
    }
    std::vector<std::string> known;
    for (const auto& entry : entries) known.push_back(entry->name);
    fail_usage("adapter: got '", printable(name), "', expected one that was added.", did_you_mean(name, known));
  }

  void make_groups() {
    if (!groups.empty()) return;
    std::vector<Group> made;
    std::map<Precision, std::vector<std::size_t>> by_precision;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const LoadedModel& loaded = entries[i]->loaded;
      if (loaded.precision == Precision::kInt8) {
        made.push_back({{i}, std::nullopt, make_inference_executor(loaded)});
      } else {
        by_precision[loaded.precision].push_back(i);
      }
    }
    for (auto& [precision, members] : by_precision) {
      std::vector<const Network*> networks;
      for (const std::size_t i : members) networks.push_back(&entries[i]->loaded.network);
      Group group{std::move(members), std::nullopt, nullptr};
      group.mixed.emplace(networks, activation_type(precision), base.prepared);
      made.push_back(std::move(group));
    }
    groups = std::move(made);
    base.prepared->release_unused();  // those of removed adapters
  }

  // images: (N, 3, H, W); which: the entry of each row. Returns N rows of logits.
  std::vector<at::Tensor> predict(const at::Tensor& images, const std::vector<std::size_t>& which) {
    make_groups();
    std::vector<at::Tensor> out(which.size());
    for (Group& group : groups) {
      std::vector<std::int64_t> rows;
      std::vector<std::size_t> members;  // index of each row's entry in the group
      for (std::size_t row = 0; row < which.size(); ++row) {
        const auto found = std::find(group.entries.begin(), group.entries.end(), which[row]);
        if (found == group.entries.end()) continue;
        rows.push_back(static_cast<std::int64_t>(row));
        members.push_back(static_cast<std::size_t>(found - group.entries.begin()));
      }
      if (rows.empty()) continue;
      const bool is_all = rows.size() == which.size();
      const std::vector<at::Tensor> logits = group.predict(
          (is_all ? images : images.index_select(0, at::tensor(rows))).to(tensor_device(options.device)), members);
      for (std::size_t i = 0; i < rows.size(); ++i) out[static_cast<std::size_t>(rows[i])] = logits[i];
    }
    return out;
  }
};

AdapterSet::AdapterSet(const std::string& base, const LoadOptions& options) {
  at_boundary("AdapterSet", [&] {
    check_device(options.device);
    auto state = std::make_unique<State>();
    state->options = options;
    state->base = load_base_model(base_choice(base, {options.model, options.weights}), guarded(options.download));
    if (options.log) std::for_each(state->base.notes.begin(), state->base.notes.end(), guarded(options.log));
    state_ = std::move(state);
  });
}
AdapterSet::AdapterSet(AdapterSet&&) noexcept = default;
AdapterSet& AdapterSet::operator=(AdapterSet&&) noexcept = default;
AdapterSet::~AdapterSet() = default;

AdapterSet::State& AdapterSet::state() const {
  if (!state_) fail_usage("adapters: got a set that was moved from, expected one that holds a base.");
  return *state_;
}

void AdapterSet::add(const std::string& name, const fs::path& path) {
  at_boundary("add", [&] {
    State& own = state();
    if (name.empty()) fail_usage("adapter: got an empty name, expected one.");
    for (const auto& entry : own.entries) {
      if (entry->name == name)
        fail_usage("adapter: got '", printable(name), "' again, expected another name. Remove it first.");
    }
    auto entry =
        std::make_unique<State::Entry>(State::Entry{name, adapt_base(own.base, find_adapter(path), own.options.force)});
    entry->loaded.precision = chosen_precision(own.options, entry->loaded);
    entry->loaded.network.to(tensor_device(own.options.device), &own.moved);
    own.entries.push_back(std::move(entry));
    own.groups.clear();
  });
}

void AdapterSet::remove(const std::string& name) {
  at_boundary("remove", [&] {
    State& own = state();
    const std::size_t at = own.find(name);
    own.groups.clear();  // before the entries they refer to
    own.entries.erase(own.entries.begin() + static_cast<std::ptrdiff_t>(at));
  });
}

std::vector<std::string> AdapterSet::names() const {
  return at_boundary("names", [&] {
    std::vector<std::string> out;
    for (const auto& entry : state().entries) out.push_back(entry->name);
    return out;
  });
}

const std::vector<std::string>& AdapterSet::classes(const std::string& name) const {
  return at_boundary("classes", [&]() -> const std::vector<std::string>& {
    return state().entries[state().find(name)]->loaded.classes;
  });
}

std::vector<std::vector<float>> AdapterSet::logits(const std::vector<Request>& requests) {
  return at_boundary("predict", [&] {
    State& own = state();
    std::vector<std::vector<float>> out;
    std::vector<std::size_t> which;  // each request's entry
    for (const Request& request : requests) which.push_back(own.find(request.adapter));
    const auto image = [&](std::size_t i) {  // preprocessed as its adapter requires
      return network_input(requests[i].image, i, own.entries[which[i]]->loaded.preprocessing);
    };
    run_in_batches(requests.size(), kBatch, image, [&](std::size_t first, const at::Tensor& batch) {
      check_fits(own.base.graph, batch, name_of(requests[first].image, first));
      const auto begin = which.begin() + static_cast<std::ptrdiff_t>(first);
      for (const at::Tensor& row : own.predict(batch, {begin, begin + batch.size(0)})) {
        const at::Tensor values = row.cpu().contiguous();
        check_outputs({values.const_data_ptr<float>(), static_cast<std::size_t>(values.numel())},
                      name_of(requests[out.size()].image, out.size()));
        out.emplace_back(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
      }
    });
    return out;
  });
}

std::vector<std::vector<Prediction>> AdapterSet::predict(const std::vector<Request>& requests, std::size_t top) {
  return at_boundary("predict", [&] {
    std::size_t most = 1;
    for (const Request& request : requests) most = std::max(most, classes(request.adapter).size());
    if (!requests.empty()) check_top(top, most);
    const auto rows = logits(requests);
    std::vector<std::vector<Prediction>> out;
    for (std::size_t i = 0; i < rows.size(); ++i)
      out.push_back(top_predictions(rows[i], classes(requests[i].adapter), top));
    return out;
  });
}

}  // namespace lorikeet
