// The input pipeline alone, for bench/bench.py: load_images FOLDER PIXELS BATCH STEPS THREADS
// Reads FOLDER's train split with RandomResizedCrop and RandomHorizontalFlip, normalises each batch, and prints
// {"seconds": [of each batch]} as JSON.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/datasets.h"
#include "data/loader.h"
#include "image/transform.h"
#include "lorikeet/error.h"

int main(int argc, char** argv) {
  using namespace lorikeet;
  using Clock = std::chrono::steady_clock;
  if (argc != 6) return 2;
  try {
    const int pixels = std::stoi(argv[2]), batch_size = std::stoi(argv[3]), threads = std::stoi(argv[5]);
    const std::size_t steps = std::stoul(argv[4]);
    const Splits splits = open_dataset(argv[1], {});
    const Preprocessing preprocessing{.resize = pixels, .crop = pixels};
    const Augmentation augmentation{.resized_crop = {0.08, 1}, .horizontal_flip = 0.5};
    std::vector<double> seconds;
    for (std::int64_t epoch = 0; seconds.size() < steps; ++epoch) {
      Loader loader(augmented(splits.train, preprocessing, augmentation, 0, epoch),
                    epoch_order(splits.train->size(), true, 0, epoch), {.batch_size = batch_size, .threads = threads});
      Batch batch;
      for (auto start = Clock::now(); seconds.size() < steps && loader.next(batch); start = Clock::now()) {
        normalise(batch.images, preprocessing);
        seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      }
    }
    std::printf("%s\n", json_text(Json{{"seconds", seconds}}).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
