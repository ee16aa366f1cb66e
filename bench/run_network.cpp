// Inference of a frozen network, for bench/bench.py: run_network MODEL WEIGHTS PRECISION PIXELS BATCH STEPS
// Runs batches of MNIST's first images and prints {"seconds": [of each batch]} as JSON. The images are read before.
// WEIGHTS "": those of MODEL's folder. int8 is calibrated on 32 images.
#include <ATen/Functions.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/datasets.h"
#include "data/loader.h"
#include "engine/executor.h"
#include "engine/int8.h"
#include "image/transform.h"
#include "kernels/buffer_pool.h"
#include "loading/loaded_model.h"
#include "lorikeet/error.h"

int main(int argc, char** argv) {
  using namespace lorikeet;
  using Clock = std::chrono::steady_clock;
  if (argc != 7) return 2;
  try {
    const std::string precision = argv[3];
    const int pixels = std::stoi(argv[4]), batch_size = std::stoi(argv[5]), steps = std::stoi(argv[6]);
    reuse_buffers();
    const BaseModel base = load_base_model({.model = argv[1], .weights = argv[2]}, {});
    const Network network(base.graph, base.weights);
    const Plan plan = make_plan(network);

    const Preprocessing preprocessing{.resize = pixels, .crop = pixels};
    const auto train = prepared(open_dataset("mnist", {}).train, preprocessing);
    Loader loader(train, epoch_order(batch_size * steps, /*shuffle=*/false, 0, 0), {.batch_size = batch_size});
    std::vector<at::Tensor> batches;
    for (Batch batch; loader.next(batch);) batches.push_back(normalise(batch.images, preprocessing));

    std::unique_ptr<Executor> executor;
    if (precision == "int8") {
      RangeMeter meter(network, plan);
      meter.add(at::cat(batches).slice(0, 0, 32));
      executor = make_int8_executor(network, {}, meter.ranges());
    } else {
      executor = make_fused_executor(network, {.precision = precision == "bfloat16" ? at::kBFloat16 : at::kFloat});
    }
    std::vector<double> seconds;
    for (const at::Tensor& images : batches) {
      const auto start = Clock::now();
      executor->predict(images);
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::printf("%s\n", json_text(Json{{"seconds", seconds}}).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
