// Predicts with several adapters over one base. Each image uses the adapter given before it.
//
//   adapter_set BASE ADAPTER IMAGE [ADAPTER IMAGE]...
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "lorikeet/lorikeet.h"

namespace {

int ask(int count, char** arguments) {
  lorikeet::AdapterSet adapters(arguments[0]);
  std::vector<lorikeet::AdapterSet::Request> requests;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string folder = arguments[i];
    const auto names = adapters.names();
    if (std::find(names.begin(), names.end(), folder) == names.end()) adapters.add(folder, folder);
    requests.push_back({arguments[i + 1], folder});
  }
  const auto predictions = adapters.predict(requests);  // one batch with different adapters
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const lorikeet::Prediction& found = predictions[i].front();
    std::printf("%s: %s (%.4f)\n", arguments[2 * i + 2], found.label.c_str(), found.probability);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc % 2 != 0) {
    std::fprintf(stderr, "usage: adapter_set BASE ADAPTER IMAGE [ADAPTER IMAGE]...\n");
    return 2;
  }
  try {
    return ask(argc - 1, argv + 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "adapter_set: %s\n", error.what());
    return 1;
  }
}
