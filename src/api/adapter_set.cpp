#include "lorikeet/adapter_set.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <optional>

#include "api/batches.h"
#include "api/guesses.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/mixed_batch.h"
#include "image/decode.h"
#include "image/transform.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"

namespace fs = std::filesystem;

namespace lorikeet {

struct AdapterSet::State {
  struct Entry {
    std::string name;
    Network network;
    std::vector<std::string> classes;
    Preprocessing preprocessing;
  };

  BaseModel base;
  std::vector<std::unique_ptr<Entry>> entries;  // whose networks stay where they are
  std::optional<MixedBatch> batch;              // over all entries; made when it is first needed

  std::size_t find(const std::string& name) const {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i]->name == name) return i;
    }
    std::vector<std::string> known;
    for (const auto& entry : entries) known.push_back(entry->name);
    fail_usage("adapter: got '", printable(name), "', expected one that was added.", did_you_mean(name, known));
  }

  MixedBatch& mixed() {
    if (!batch) {
      std::vector<const Network*> networks;
      for (const auto& entry : entries) networks.push_back(&entry->network);
      batch.emplace(networks, at::kFloat, base.prepared);
      base.prepared->release_unused();  // what only adapters used that were removed
    }
    return *batch;
  }
};

AdapterSet::AdapterSet(const std::string& base, const LoadOptions& options) : state_(std::make_unique<State>()) {
  state_->base = load_base_model(base_choice(base, {options.model, options.weights}), options.progress);
  if (options.log) std::for_each(state_->base.notes.begin(), state_->base.notes.end(), options.log);
}
AdapterSet::AdapterSet(AdapterSet&&) noexcept = default;
AdapterSet& AdapterSet::operator=(AdapterSet&&) noexcept = default;
AdapterSet::~AdapterSet() = default;

void AdapterSet::add(const std::string& name, const fs::path& folder) {
  for (const auto& entry : state_->entries) {
    if (entry->name == name)
      fail_usage("adapter: got '", printable(name), "' again, expected another name. Remove it first.");
  }
  LoadedModel loaded = adapt_base(state_->base, find_adapter(folder));
  state_->entries.push_back(std::make_unique<State::Entry>(
      State::Entry{name, std::move(loaded.network), std::move(loaded.classes), loaded.preprocessing}));
  state_->batch.reset();
}

void AdapterSet::remove(const std::string& name) {
  state_->entries.erase(state_->entries.begin() + static_cast<std::ptrdiff_t>(state_->find(name)));
  state_->batch.reset();
}

std::vector<std::string> AdapterSet::names() const {
  std::vector<std::string> out;
  for (const auto& entry : state_->entries) out.push_back(entry->name);
  return out;
}

const std::vector<std::string>& AdapterSet::classes(const std::string& name) const {
  return state_->entries[state_->find(name)]->classes;
}

std::vector<std::vector<float>> AdapterSet::logits(const std::vector<Request>& requests) {
  constexpr std::size_t kBatch = 64;
  std::vector<std::vector<float>> out;
  std::vector<std::size_t> which;  // each request's entry
  for (const Request& request : requests) which.push_back(state_->find(request.adapter));
  const auto image = [&](std::size_t i) {  // as its own adapter asks
    const Preprocessing& preprocessing = state_->entries[which[i]]->preprocessing;
    return normalise(prepare(read_image(requests[i].image), preprocessing).unsqueeze(0), preprocessing);
  };
  run_in_batches(requests.size(), kBatch, image, [&](std::size_t first, const at::Tensor& batch) {
    const auto begin = which.begin() + static_cast<std::ptrdiff_t>(first);
    for (const at::Tensor& row : state_->mixed().predict(batch, {begin, begin + batch.size(0)})) {
      const at::Tensor values = row.contiguous();
      out.emplace_back(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
    }
  });
  return out;
}

std::vector<std::vector<Guess>> AdapterSet::predict(const std::vector<Request>& requests, std::size_t top) {
  const auto rows = logits(requests);
  std::vector<std::vector<Guess>> out;
  for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(best_guesses(rows[i], classes(requests[i].adapter), top));
  return out;
}

}  // namespace lorikeet
